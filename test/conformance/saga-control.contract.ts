import assert from 'node:assert/strict';
import type { ClaimedSaga, NewSaga, SagaStorage } from '../../lib/saga/saga-storage.js';
import { FencedError } from '../../lib/saga/state/errors.js';
import { until } from '../support/until.js';
import {
  claimOf,
  LEASE_MS,
  entry,
  newSaga,
  unique,
  writeOf,
  type ContractCase,
  type StorageUnderTest,
} from './saga-storage.contract.js';

/** A saga that a living worker runs. */
async function runningSaga(
  { sagas, workers }: StorageUnderTest,
  overrides: Partial<NewSaga> = {},
): Promise<NewSaga> {
  const owner = unique('owner');
  await workers.heartbeat({ id: owner, relays: false, leaseMs: LEASE_MS });
  const saga = newSaga({ owner, launch: ['a'], ...overrides });
  await sagas.create(saga);
  return saga;
}

async function statusOf(sagas: SagaStorage, { sagaId }: NewSaga): Promise<string | undefined> {
  return (await sagas.find(sagaId))?.status;
}

async function claimOne(sagas: SagaStorage, saga: NewSaga): Promise<ClaimedSaga | undefined> {
  return (await sagas.claim(claimOf(saga, unique('w'))))[0];
}

const END = { results: '{}', error: 'null' };

/** What every saga storage must do about cancelling, waiting and late results. */
export const sagaControlContract: readonly ContractCase<StorageUnderTest>[] = [
  {
    name: 'tells the owner of a cancel with its next write, and refuses to complete the saga',
    async run(storage) {
      const { sagas } = storage;
      const saga = await runningSaga(storage);
      assert.equal(await sagas.requestCancel(saga.sagaId), 'requested');
      assert.equal(await sagas.requestCancel(saga.sagaId), 'requested');
      assert.deepEqual(await sagas.cancelRequested([saga.sagaId, newSaga().sagaId]), [saga.sagaId]);
      assert.deepEqual(await sagas.append(writeOf(saga, 1)), { cancelRequested: true, stored: true });
      const completing = { entries: [entry(2, 1)], status: 'completed', end: END } as const;
      assert.deepEqual(await sagas.append(writeOf(saga, 1, completing)), {
        cancelRequested: true,
        stored: false,
      });
      assert.equal((await sagas.journal(saga.sagaId)).length, 1);
      assert.equal(await statusOf(sagas, saga), 'running');
      const turning = { entries: [entry(2, 1, { kind: 'compensating', step: null })] };
      await sagas.append(writeOf(saga, 1, { ...turning, status: 'compensating' }));
      assert.deepEqual(await sagas.cancelRequested([saga.sagaId]), []);
      assert.equal(await sagas.requestCancel(saga.sagaId), 'requested');
    },
  },
  {
    name: 'tells an owner which of its sagas were taken under a later epoch, and no others',
    async run(storage) {
      const { sagas, workers } = storage;
      const [kept, lost] = [await runningSaga(storage), await runningSaga(storage)];
      const holder = lost.owner ?? '';
      await workers.retire(holder);
      assert.equal((await claimOne(sagas, lost))?.epoch, 2);
      const held = [kept, lost, newSaga()].map(({ sagaId }) => ({ sagaId, epoch: 1 }));
      assert.deepEqual(await sagas.taken(held), [lost.sagaId]);
      assert.deepEqual(await sagas.taken([{ sagaId: lost.sagaId, epoch: 2 }]), []);
      assert.deepEqual(await sagas.taken([]), []);
    },
  },
  {
    name: 'lets either the cancel or the launch of the pivot win, never both',
    async run(storage) {
      const { sagas } = storage;
      const first = await runningSaga(storage);
      await sagas.requestCancel(first.sagaId);
      assert.deepEqual(await sagas.append(writeOf(first, 1, { launchesPivot: true })), {
        cancelRequested: true,
        stored: false,
      });
      assert.deepEqual(await sagas.journal(first.sagaId), []);

      const second = await runningSaga(storage);
      assert.deepEqual(await sagas.append(writeOf(second, 1, { launchesPivot: true })), {
        cancelRequested: false,
        stored: true,
      });
      assert.equal(await sagas.requestCancel(second.sagaId), 'too_late');
      assert.equal((await sagas.journal(second.sagaId)).length, 1);

      const third = await runningSaga(storage, { launchesPivot: true });
      assert.equal(await sagas.requestCancel(third.sagaId), 'too_late');
    },
  },
  {
    name: 'lets exactly one of a cancel and a completion win that come at the same time',
    async run(storage) {
      const { sagas } = storage;
      for (let round = 0; round < 20; round++) {
        const saga = await runningSaga(storage);
        const completing = writeOf(saga, 1, { status: 'completed', end: END });
        const [answer, { cancelRequested }] = await Promise.all([
          sagas.requestCancel(saga.sagaId),
          sagas.append(completing),
        ]);
        assert.equal(cancelRequested, answer === 'requested');
        assert.equal(await statusOf(sagas, saga), cancelRequested ? 'running' : 'completed');
      }
    },
  },
  {
    name: 'refuses to cancel a saga that has ended, and knows none that is not there',
    async run(storage) {
      const { sagas } = storage;
      const saga = await runningSaga(storage);
      await sagas.append(writeOf(saga, 1, { status: 'completed', end: END }));
      assert.equal(await sagas.requestCancel(saga.sagaId), 'too_late');
      assert.equal(await sagas.requestCancel(newSaga().sagaId), 'not_found');
      assert.equal(await sagas.requestCancel('no id at all'), 'not_found');
    },
  },
  {
    name: 'tells whoever claims a saga that it was cancelled while nobody ran it',
    async run({ sagas }) {
      const saga = newSaga();
      await sagas.create(saga);
      assert.equal(await sagas.requestCancel(saga.sagaId), 'requested');
      assert.equal((await claimOne(sagas, saga))?.cancelRequested, true);
    },
  },
  {
    name: 'keeps a transaction open that a cancel has refused, for a second commit',
    async run(storage) {
      const { sagas } = storage;
      const saga = await runningSaga(storage);
      await sagas.requestCancel(saga.sagaId);
      const transaction = await sagas.begin();
      const launching = writeOf(saga, 1, { launchesPivot: true });
      assert.deepEqual(await transaction.commit(launching), { cancelRequested: true, stored: false });
      assert.deepEqual(await sagas.journal(saga.sagaId), []);
      await transaction.commit(writeOf(saga, 1, { status: 'compensating' }));
      assert.equal((await sagas.journal(saga.sagaId)).length, 1);
      assert.equal(await statusOf(sagas, saga), 'compensating');
    },
  },
  {
    name: 'gives a waiting saga to nobody before it is due, and as a running one then',
    async run(storage) {
      const { sagas } = storage;
      const saga = await runningSaga(storage);
      const resting = { entries: [], status: 'waiting', release: { wakeInMs: 150 } } as const;
      const restingSince = performance.now();
      await sagas.append(writeOf(saga, 1, resting));
      assert.equal(await statusOf(sagas, saga), 'waiting');
      assert.equal(await claimOne(sagas, saga), undefined);
      let claimed: ClaimedSaga | undefined;
      await until(async () => (claimed = await claimOne(sagas, saga)) !== undefined);
      assert.ok(performance.now() - restingSince >= 149);
      assert.deepEqual([claimed?.status, claimed?.epoch], ['running', 2]);
    },
  },
  {
    name: 'gives a compensating saga to nobody before the next attempt of its undo is due',
    async run(storage) {
      const { sagas } = storage;
      const saga = await runningSaga(storage);
      await sagas.append(writeOf(saga, 1, { status: 'compensating' }));
      await sagas.append(writeOf(saga, 1, { entries: [], release: { wakeInMs: 60_000 } }));
      assert.equal(await claimOne(sagas, saga), undefined);
      assert.equal(await statusOf(sagas, saga), 'compensating');
    },
  },
  {
    name: 'makes a waiting saga due when it is cancelled, before or after it was let go of',
    async run(storage) {
      const { sagas } = storage;
      const resting = { entries: [], status: 'waiting', release: { wakeInMs: 60_000 } } as const;
      const first = await runningSaga(storage);
      await sagas.append(writeOf(first, 1, resting));
      await sagas.requestCancel(first.sagaId);
      assert.equal((await claimOne(sagas, first))?.cancelRequested, true);

      const second = await runningSaga(storage);
      await sagas.requestCancel(second.sagaId);
      await sagas.append(writeOf(second, 1, resting));
      assert.equal((await claimOne(sagas, second))?.cancelRequested, true);
    },
  },
  {
    name: 'tells how long the deadline is away, and how old saga and entries are',
    async run({ sagas }) {
      const saga = newSaga({ timeoutMs: 60_000 });
      await sagas.create(saga);
      const first = await claimOne(sagas, saga);
      assert.ok(first?.deadlineInMs !== undefined && first.deadlineInMs > 50_000);
      assert.ok(first.deadlineInMs <= 60_000 && first.ageMs >= 0 && first.ageMs < 10_000);
      await sagas.append(writeOf(saga, 1, { release: {} }));
      const [read] = (await claimOne(sagas, saga))?.journal ?? [];
      assert.ok(read?.ageMs !== undefined && read.ageMs >= 0 && read.ageMs < 10_000);
      const endless = newSaga();
      await sagas.create(endless);
      assert.equal((await claimOne(sagas, endless))?.deadlineInMs, undefined);
    },
  },
  {
    name: 'reopens a saga that has turned back with a late result, whoever owns it, and fences that owner',
    async run(storage) {
      const { sagas } = storage;
      const late = { workerId: unique('w'), step: 'a', text: '{"paid":3}' };
      for (const status of ['compensated', 'failed', 'compensating'] as const) {
        const saga = await runningSaga(storage);
        const end = status === 'compensating' ? undefined : END;
        await sagas.append(writeOf(saga, 1, { status, end }));
        const claimed = await sagas.reopen({ ...late, sagaId: saga.sagaId });
        assert.deepEqual([claimed?.epoch, claimed?.status], [2, 'compensating']);
        const { kind, step, data, seq } = claimed?.journal.at(-1) ?? entry(0, 0);
        assert.deepEqual([seq, kind, step, data], [2, 'late_completed', 'a', late.text]);
        assert.equal((await sagas.find(saga.sagaId))?.endedAt, null);
        await assert.rejects(sagas.append(writeOf(saga, 1, { entries: [entry(3, 1)] })), FencedError);
        await sagas.append(writeOf(saga, 2, { entries: [entry(3, 2)], status: 'compensated', end: END }));
        assert.equal(await statusOf(sagas, saga), 'compensated');
      }
    },
  },
  {
    name: 'finds a saga by its id in upper case, with its history, and cancels it',
    async run(storage) {
      const { sagas } = storage;
      const saga = await runningSaga(storage);
      await sagas.append(writeOf(saga, 1));
      const copied = saga.sagaId.toUpperCase();
      assert.equal((await sagas.find(copied))?.sagaId, saga.sagaId);
      assert.deepEqual(
        (await sagas.journal(copied)).map(({ seq }) => seq),
        (await sagas.journal(saga.sagaId)).map(({ seq }) => seq),
      );
      assert.notEqual((await sagas.journal(copied)).length, 0);
      const signal = { sagaId: copied, id: 's', name: 'go', payload: '1' };
      assert.equal(await sagas.signal(signal), 'accepted');
      assert.equal(await sagas.requestCancel(copied), 'requested');
      assert.deepEqual(await sagas.cancelRequested([saga.sagaId]), [saga.sagaId]);
    },
  },
  {
    name: 'reopens no saga that goes forward, has completed, or is not there',
    async run(storage) {
      const { sagas } = storage;
      const late = { workerId: unique('w'), step: 'a', text: null };
      const saga = await runningSaga(storage);
      assert.equal(await sagas.reopen({ ...late, sagaId: saga.sagaId }), undefined);
      await sagas.append(writeOf(saga, 1, { status: 'completed', end: END }));
      assert.equal(await sagas.reopen({ ...late, sagaId: saga.sagaId }), undefined);
      assert.equal(await sagas.reopen({ ...late, sagaId: newSaga().sagaId }), undefined);
      assert.equal((await sagas.journal(saga.sagaId)).length, 1);
    },
  },
];
