import assert from 'node:assert/strict';
import type { Intervention, InterventionStorage } from '../../lib/saga/intervention-storage.js';
import type { NewSaga } from '../../lib/saga/saga-storage.js';
import type { NewAudit } from '../../lib/saga/state/audit.js';
import { FencedError } from '../../lib/saga/state/errors.js';
import type { SagaStatus } from '../../lib/saga/state/saga-status.js';
import {
  claimOf,
  entry,
  eventOf,
  LEASE_MS,
  newSaga,
  unique,
  writeOf,
  type ContractCase,
  type StorageUnderTest,
} from './saga-storage.contract.js';

export type InterventionsUnderTest = StorageUnderTest & { readonly interventions: InterventionStorage };

const END = { results: '{"a":1}', error: '{"code":"X","message":"x"}' };

/** A saga that a living worker runs, ended when a status is given. */
async function sagaIn(
  { sagas, workers }: InterventionsUnderTest,
  status?: Extract<SagaStatus, 'failed' | 'parked' | 'compensated'>,
): Promise<NewSaga> {
  const owner = unique('owner');
  await workers.heartbeat({ id: owner, relays: false, leaseMs: LEASE_MS });
  const saga = newSaga({ owner, launch: ['a'] });
  await sagas.create(saga);
  await sagas.append(writeOf(saga, 1, status && { status, end: END }));
  return saga;
}

function auditOf({ sagaId }: NewSaga, overrides: Partial<NewAudit> = {}): NewAudit {
  return { actor: 'ada', action: 'retry', target: sagaId, reason: 'the till is mended', ...overrides };
}

function interventionOf(saga: NewSaga, overrides: Partial<Intervention> = {}): Intervention {
  return {
    sagaId: saga.sagaId,
    seen: { epoch: 1, status: 'failed', seq: 1 },
    entries: [{ kind: 'undo_retried', step: 'a', data: '{"actor":"ada","reason":null}' }],
    status: 'compensating',
    launchesPivot: false,
    audit: { ...auditOf(saga), before: { status: 'failed' }, after: { status: 'compensating' } },
    ...overrides,
  };
}

/** What every storage must do about changes of operators. */
export const interventionStorageContract: readonly ContractCase<InterventionsUnderTest>[] = [
  {
    name: 'takes an ended saga up again under a new epoch, with entries and a note in the audit',
    async run(storage) {
      const { sagas, interventions } = storage;
      const saga = await sagaIn(storage, 'failed');
      assert.equal(await interventions.intervene(interventionOf(saga)), true);
      const row = await sagas.find(saga.sagaId);
      assert.deepEqual(
        [row?.status, row?.epoch, row?.endedAt, row?.results, row?.error],
        ['compensating', 2, null, null, null],
      );
      const { seq, epoch, kind, step } = (await sagas.journal(saga.sagaId)).at(-1) ?? entry(0, 0);
      assert.deepEqual([seq, epoch, kind, step], [2, 2, 'undo_retried', 'a']);
      const [note, ...more] = await interventions.audits({ target: saga.sagaId }, 10);
      assert.ok(note && more.length === 0 && note.at instanceof Date);
      const { id: _, at: __, ...told } = note;
      assert.deepEqual(told, interventionOf(saga).audit);
      const [claimed] = await sagas.claim(claimOf(saga, unique('w')));
      assert.deepEqual([claimed?.status, claimed?.epoch, claimed?.journal.length], ['compensating', 3, 2]);
    },
  },
  {
    name: 'takes a running saga from its owner, which can write nothing any more',
    async run(storage) {
      const { sagas, interventions } = storage;
      const saga = await sagaIn(storage);
      const taking = { seen: { epoch: 1, status: 'running', seq: 1 }, status: 'running' } as const;
      assert.equal(
        await interventions.intervene(interventionOf(saga, { ...taking, launchesPivot: true })),
        true,
      );
      await assert.rejects(sagas.append(writeOf(saga, 1, { entries: [entry(3, 1)] })), FencedError);
      assert.equal((await sagas.journal(saga.sagaId)).length, 2);
      assert.equal(await sagas.requestCancel(saga.sagaId), 'too_late');
      const [claimed] = await sagas.claim(claimOf(saga, unique('w'), { held: [] }));
      assert.deepEqual([claimed?.epoch, claimed?.orphaned], [3, false]);
    },
  },
  {
    name: 'lets either a cancel or the skip of the pivot win, never both',
    async run(storage) {
      const { sagas, interventions } = storage;
      const seen = { epoch: 1, status: 'running', seq: 1 } as const;
      const skipping = { seen, status: 'running', launchesPivot: true } as const;
      const first = await sagaIn(storage);
      assert.equal(await sagas.requestCancel(first.sagaId), 'requested');
      assert.equal(await interventions.intervene(interventionOf(first, skipping)), false);
      assert.deepEqual(
        [(await sagas.find(first.sagaId))?.epoch, (await sagas.journal(first.sagaId)).length],
        [1, 1],
      );
      // What does not pass the pivot is not in its way.
      const passing = { ...skipping, launchesPivot: false };
      assert.equal(await interventions.intervene(interventionOf(first, passing)), true);
      for (let round = 0; round < 10; round++) {
        const saga = await sagaIn(storage);
        const [answer, skipped] = await Promise.all([
          sagas.requestCancel(saga.sagaId),
          interventions.intervene(interventionOf(saga, skipping)),
        ]);
        assert.equal(skipped, answer === 'too_late');
      }
    },
  },
  {
    name: 'stores nothing of a change of a saga that has moved since it was read: epoch, status or entries',
    async run(storage) {
      const { sagas, interventions } = storage;
      const saga = await sagaIn(storage, 'failed');
      for (const seen of [
        { epoch: 0, status: 'failed', seq: 1 },
        { epoch: 1, status: 'parked', seq: 1 },
        { epoch: 1, status: 'failed', seq: 0 },
      ] as const) {
        assert.equal(await interventions.intervene(interventionOf(saga, { seen })), false);
      }
      const row = await sagas.find(saga.sagaId);
      assert.deepEqual([row?.status, row?.epoch, row?.error], ['failed', 1, END.error]);
      assert.equal((await sagas.journal(saga.sagaId)).length, 1);
      assert.deepEqual(await interventions.audits({ target: saga.sagaId }, 10), []);
      assert.equal(await interventions.intervene(interventionOf(newSaga())), false);
    },
  },
  {
    name: 'lets exactly one of an operator and the owner win that write at the same time',
    async run(storage) {
      const { sagas, interventions } = storage;
      for (let round = 0; round < 20; round++) {
        const saga = await sagaIn(storage);
        const taking = { seen: { epoch: 1, status: 'running', seq: 1 }, status: 'running' } as const;
        const [taken, written] = await Promise.all([
          interventions.intervene(interventionOf(saga, taking)),
          sagas.append(writeOf(saga, 1, { entries: [entry(2, 1)] })).then(
            () => true,
            (error: unknown) => !(error instanceof FencedError),
          ),
        ]);
        assert.notEqual(taken, written);
        assert.equal((await sagas.journal(saga.sagaId)).length, 2);
      }
    },
  },
  {
    name: 'lets exactly one of two operators win, and keeps a parked saga parked that is to stay so',
    async run(storage) {
      const { sagas, interventions } = storage;
      const saga = await sagaIn(storage, 'parked');
      const seen = { epoch: 1, status: 'parked', seq: 1 } as const;
      const staying = interventionOf(saga, { seen, status: 'parked' });
      const won = await Promise.all([interventions.intervene(staying), interventions.intervene(staying)]);
      assert.deepEqual(won.sort(), [false, true]);
      const row = await sagas.find(saga.sagaId);
      assert.deepEqual([row?.status, row?.epoch, row?.error], ['parked', 2, END.error]);
      assert.ok(row?.endedAt);
      assert.deepEqual(await sagas.claim(claimOf(saga, unique('w'))), []);
      assert.equal((await interventions.audits({ target: saga.sagaId }, 10)).length, 1);
    },
  },
  {
    name: 'notes a cancel that was to be had, and no other',
    async run(storage) {
      const { sagas, interventions } = storage;
      const saga = await sagaIn(storage);
      const audit = auditOf(saga, { action: 'cancel' });
      assert.deepEqual(await interventions.cancel(saga.sagaId, audit), {
        answer: 'requested',
        before: 'running',
      });
      // The same again, and one that turns back already: nothing changes.
      assert.deepEqual(await interventions.cancel(saga.sagaId, audit), {
        answer: 'requested',
        before: 'running',
      });
      const turning = await sagaIn(storage);
      const back = {
        entries: [entry(2, 1, { kind: 'compensating', step: null })],
        status: 'compensating',
      } as const;
      await sagas.append(writeOf(turning, 1, back));
      assert.deepEqual(await interventions.cancel(turning.sagaId, { ...audit, target: turning.sagaId }), {
        answer: 'requested',
        before: 'compensating',
      });
      assert.deepEqual(await sagas.cancelRequested([saga.sagaId]), [saga.sagaId]);
      const ended = await sagaIn(storage, 'compensated');
      assert.deepEqual(await interventions.cancel(ended.sagaId, auditOf(ended, { action: 'cancel' })), {
        answer: 'too_late',
        before: 'compensated',
      });
      for (const id of [newSaga().sagaId, 'no id at all'])
        assert.deepEqual(await interventions.cancel(id, { ...audit, target: id }), { answer: 'not_found' });
      const notes = await interventions.audits({ action: 'cancel' }, 500);
      const targets = [saga, ended, turning].map(({ sagaId }) => sagaId);
      const running = { status: 'running', epoch: 1 };
      assert.deepEqual(
        notes
          .filter(({ target }) => targets.includes(target))
          .map(({ target, before, after }) => [target, before, after]),
        [[saga.sagaId, running, { ...running, cancel: 'requested' }]],
      );
    },
  },
  {
    name: 'lists the audit by actor and action, the latest first, page by page',
    async run(storage) {
      const { interventions } = storage;
      const actor = unique('actor');
      const sagas = [];
      for (let n = 0; n < 3; n++) {
        const saga = await sagaIn(storage, 'failed');
        const { audit } = interventionOf(saga);
        await interventions.intervene(interventionOf(saga, { audit: { ...audit, actor } }));
        sagas.unshift(saga.sagaId);
      }
      const first = await interventions.audits({ actor, action: 'retry' }, 2);
      const before = first.at(-1)?.id;
      const second = await interventions.audits({ actor, ...(before !== undefined && { before }) }, 2);
      assert.deepEqual(
        [...first, ...second].map(({ target }) => target),
        sagas,
      );
      assert.deepEqual(await interventions.audits({ actor, action: 'skip' }, 2), []);
    },
  },
  {
    name: 'notes how many dead letters were requeued or discarded, and nothing when there were none',
    async run(storage) {
      const { sagas, outbox, retries, interventions } = storage;
      const [actor, type] = [unique('actor'), unique('type')];
      const saga = await sagaIn(storage);
      const events = [eventOf('k1', type), eventOf('k2', type), eventOf('k3', type)];
      await sagas.append(writeOf(saga, 1, { entries: [entry(2, 1)], events }));
      const reader = await outbox.openReader();
      const owner = unique('relay');
      await storage.workers.heartbeat({ id: owner, relays: true, leaseMs: LEASE_MS });
      const shards = await outbox.leaseShards(owner);
      const positions = new Map(shards.map((shard) => [shard, 0n]));
      const limits = new Map(shards.map((shard) => [shard, 1_000]));
      const read = await reader.read({ positions, previous: undefined, limits });
      await reader.close();
      const mine = read.events.filter((event) => event.type === type);
      await retries.bury(
        owner,
        mine.map((event) => ({ event, reason: 'too_large' })),
      );
      const audit = { actor, target: JSON.stringify({ type }), reason: null };
      const [first] = mine;
      const one = { eventIds: [first?.eventId ?? ''] };
      assert.equal(await retries.discard(one, { ...audit, action: 'discard' }), 1);
      assert.equal(await retries.discard(one, { ...audit, action: 'discard' }), 0);
      const rest = mine.length - 1;
      assert.ok(rest > 0);
      assert.equal(await retries.requeue({ type }, { ...audit, action: 'requeue' }), rest);
      const notes = await interventions.audits({ actor }, 10);
      assert.deepEqual(
        notes.map(({ action, before, after }) => [action, before, after]),
        [
          ['requeue', null, { events: rest }],
          ['discard', null, { events: 1 }],
        ],
      );
      await outbox.releaseShards(owner);
      await storage.workers.retire(owner);
      await retries.discard({ type }, { ...audit, action: 'discard' });
    },
  },
];
