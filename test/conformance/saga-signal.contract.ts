import assert from 'node:assert/strict';
import type { NewSaga, NewSignal, SagaStorage } from '../../lib/saga/saga-storage.js';
import {
  claimOf,
  entry,
  newSaga,
  unique,
  writeOf,
  type ContractCase,
  type StorageUnderTest,
} from './saga-storage.contract.js';

const END = { results: '{}', error: 'null' };

function signalOf({ sagaId }: NewSaga, overrides: Partial<NewSignal> = {}): NewSignal {
  return { sagaId, id: unique('signal'), name: 'approved', payload: '{"by":"Ada"}', ...overrides };
}

async function runningSaga({ sagas }: StorageUnderTest): Promise<NewSaga> {
  const saga = newSaga({ owner: unique('owner'), launch: ['a'] });
  await sagas.create(saga);
  return saga;
}

const claim = async (sagas: SagaStorage, saga: NewSaga) => (await sagas.claim(claimOf(saga, unique('w'))))[0];

/** What every saga storage must do about signals, and about sagas that start later. */
export const sagaSignalContract: readonly ContractCase<StorageUnderTest>[] = [
  {
    name: 'stores signals in the order in which they came, each id once, and counts them for each saga alone',
    async run(storage) {
      const { sagas } = storage;
      const [one, other] = [await runningSaga(storage), await runningSaga(storage)];
      const first = signalOf(one);
      const second = signalOf(one, { name: 'paid', payload: '"\\\\ 2"' });
      assert.equal(await sagas.signal(first), 'accepted');
      assert.equal(await sagas.signal({ ...first, payload: '2' }), 'duplicate');
      assert.equal(await sagas.signal(second), 'accepted');
      assert.equal(await sagas.signal({ ...first, sagaId: other.sagaId }), 'accepted');
      const all = await sagas.signals([{ sagaId: one.sagaId, seq: 0 }]);
      assert.deepEqual(all, [
        { ...first, seq: 1 },
        { ...second, seq: 2 },
      ]);
      const later = await sagas.signals([
        { sagaId: one.sagaId, seq: 1 },
        { sagaId: other.sagaId, seq: 1 },
      ]);
      assert.deepEqual(later, [{ ...second, seq: 2 }]);
    },
  },
  {
    name: 'takes one of many signals of the same id that come at once',
    async run(storage) {
      const { sagas } = storage;
      const saga = await runningSaga(storage);
      const signal = signalOf(saga);
      const answers = await Promise.all(Array.from({ length: 8 }, () => sagas.signal(signal)));
      assert.equal(answers.filter((answer) => answer === 'accepted').length, 1);
      assert.equal(answers.filter((answer) => answer === 'duplicate').length, 7);
    },
  },
  {
    name: 'refuses a signal for a saga that has ended or turned back, unless it had come before, and knows no other',
    async run(storage) {
      const { sagas } = storage;
      assert.equal(await sagas.signal(signalOf(newSaga())), 'not_found');
      assert.equal(await sagas.signal(signalOf({ ...newSaga(), sagaId: 'nobody' })), 'not_found');
      for (const status of ['compensating', 'completed', 'compensated', 'failed', 'parked'] as const) {
        const saga = await runningSaga(storage);
        const early = signalOf(saga);
        await sagas.signal(early);
        const end = status === 'compensating' ? undefined : END;
        await sagas.append(writeOf(saga, 1, { status, end }));
        // An operator may let a parked saga go on.
        const expected = status === 'parked' ? 'accepted' : 'too_late';
        assert.deepEqual([status, await sagas.signal(signalOf(saga))], [status, expected]);
        assert.equal(await sagas.signal(early), 'duplicate');
      }
    },
  },
  {
    name: 'refuses a write that counts on having seen every signal when there are more',
    async run(storage) {
      const { sagas } = storage;
      const saga = await runningSaga(storage);
      const parking = { status: 'waiting', release: {}, entries: [], signalSeq: 0 } as const;
      await sagas.signal(signalOf(saga));
      assert.deepEqual(await sagas.append(writeOf(saga, 1, parking)), {
        cancelRequested: false,
        stored: false,
      });
      const failing = { entries: [entry(1, 1, { kind: 'step_failed' })], signalSeq: 0 };
      assert.deepEqual(await sagas.append(writeOf(saga, 1, failing)), {
        cancelRequested: false,
        stored: false,
      });
      assert.deepEqual(await sagas.journal(saga.sagaId), []);
      assert.equal((await sagas.find(saga.sagaId))?.status, 'running');
      const seen = await sagas.append(writeOf(saga, 1, { ...parking, signalSeq: 1 }));
      assert.deepEqual(seen, { cancelRequested: false, stored: true });
      assert.equal((await sagas.find(saga.sagaId))?.status, 'waiting');
    },
  },
  {
    name: 'gives a saga that waits for a signal to nobody before one comes, and then with all of them',
    async run(storage) {
      const { sagas } = storage;
      const saga = await runningSaga(storage);
      const parking = { status: 'waiting', release: {}, signalSeq: 0 } as const;
      await sagas.append(writeOf(saga, 1, parking));
      assert.equal(await claim(sagas, saga), undefined);
      const signal = signalOf(saga);
      await sagas.signal(signal);
      const claimed = await claim(sagas, saga);
      assert.deepEqual(
        [claimed?.epoch, claimed?.status, claimed?.signals],
        [2, 'running', [{ ...signal, seq: 1 }]],
      );
    },
  },
  {
    name: 'gives a saga that was to wait and was let go of again to the next who asks',
    async run(storage) {
      const { sagas } = storage;
      const saga = await runningSaga(storage);
      await sagas.append(writeOf(saga, 1, { status: 'waiting', release: {}, entries: [] }));
      await sagas.append(writeOf(saga, 1, { release: { wakeInMs: 0 }, entries: [] }));
      assert.equal((await claim(sagas, saga))?.epoch, 2);
    },
  },
  {
    name: 'keeps a saga with a delay from everybody until its time, also when a signal comes',
    async run({ sagas }) {
      const saga = newSaga({ delayMs: 60_000, timeoutMs: 30_000 });
      await sagas.create(saga);
      const row = await sagas.find(saga.sagaId);
      assert.equal(row?.status, 'waiting');
      assert.ok(row.startedAt.getTime() > Date.now() + 50_000);
      assert.equal(await sagas.signal(signalOf(saga)), 'accepted');
      assert.equal(await claim(sagas, saga), undefined);
      await sagas.requestCancel(saga.sagaId);
      const claimed = await claim(sagas, saga);
      assert.deepEqual([claimed?.cancelRequested, claimed?.signals.length], [true, 1]);
      assert.ok(claimed?.deadlineInMs !== undefined && claimed.deadlineInMs > 80_000);
    },
  },
  {
    name: 'finds a saga by its idempotency key',
    async run({ sagas }) {
      const saga = newSaga({ idempotencyKey: unique('key') });
      await sagas.create(saga);
      assert.equal(await sagas.findKey(saga.name, saga.idempotencyKey ?? ''), saga.sagaId);
      assert.equal(await sagas.findKey(saga.name, 'another'), undefined);
      assert.equal(await sagas.findKey('another', saga.idempotencyKey ?? ''), undefined);
    },
  },
];
