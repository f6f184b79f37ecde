import assert from 'node:assert/strict';
import { uuidV7 } from '../../lib/events/uuid-v7.js';
import type { OutboxRecord } from '../../lib/events/outbox-event.js';
import type { RetryStorage } from '../../lib/outbox/retry-storage.js';
import type { OutboxStorage } from '../../lib/outbox/outbox-storage.js';
import type { ClaimRequest, NewSaga, SagaStorage, SagaWrite } from '../../lib/saga/saga-storage.js';
import { until } from '../support/until.js';
import { CommitUnknownError, FencedError } from '../../lib/saga/state/errors.js';
import type { JournalEntry } from '../../lib/saga/state/journal.js';
import type { WorkerStorage } from '../../lib/saga/worker-storage.js';
import { shardOf } from '../../lib/events/shard.js';

/** Of workers that stay alive. */
export const LEASE_MS = 10_000;

export interface StorageUnderTest {
  readonly sagas: SagaStorage;
  readonly workers: WorkerStorage;
  readonly outbox: OutboxStorage;
  readonly retries: RetryStorage;
}

export interface ContractCase<T> {
  readonly name: string;
  run(subject: T): Promise<void>;
}

/** A saga name that no other case uses, so that cases may share one storage. */
export const unique = (prefix: string) => `${prefix}-${uuidV7()}`;

export function newSaga(overrides: Partial<NewSaga> = {}): NewSaga {
  const sagaId = uuidV7();
  return {
    sagaId,
    name: unique('saga'),
    version: 1,
    definition: '',
    input: '{"order":1}',
    idempotencyKey: undefined,
    inputHash: 'hash-1',
    correlationId: sagaId,
    tags: { shop: 'north' },
    owner: undefined,
    launch: [],
    launchesPivot: false,
    timeoutMs: undefined,
    delayMs: undefined,
    ...overrides,
  };
}

/** Without the age of the entries. */
async function journalOf(sagas: SagaStorage, sagaId: string): Promise<JournalEntry[]> {
  return withoutAge(await sagas.journal(sagaId));
}

function withoutAge(entries: readonly JournalEntry[]): JournalEntry[] {
  return entries.map(({ ageMs, at, ...entry }) => {
    assert.ok(ageMs !== undefined && ageMs >= 0 && (at === undefined || at instanceof Date));
    return entry;
  });
}

export function claimOf(
  saga: NewSaga,
  workerId: string,
  overrides: Partial<ClaimRequest> = {},
): ClaimRequest {
  return {
    workerId,
    versions: [{ name: saga.name, version: saga.version }],
    held: [saga.sagaId],
    lost: [],
    limit: 10,
    ...overrides,
  };
}

export function entry(seq: number, epoch: number, overrides: Partial<JournalEntry> = {}): JournalEntry {
  return {
    seq,
    epoch,
    kind: 'step_completed',
    step: 'a',
    attempt: 1,
    launch: [],
    data: '{"ok":true}',
    ...overrides,
  };
}

export function eventOf(key: string, type = 'thing.happened'): OutboxRecord {
  return {
    eventId: uuidV7(),
    shard: shardOf(key),
    destination: 'default',
    type,
    key,
    aggregateType: null,
    aggregateId: null,
    payload: '{"n":1}',
    headers: '{}',
  };
}

export function writeOf(saga: NewSaga, epoch: number, overrides: Partial<SagaWrite> = {}): SagaWrite {
  return { sagaId: saga.sagaId, epoch, entries: [entry(1, epoch)], events: [], ...overrides };
}

async function pendingTypes({ outbox }: StorageUnderTest): Promise<readonly string[]> {
  const reader = await outbox.openReader();
  try {
    const positions = new Map(Array.from({ length: 16 }, (_, shard) => [shard, 0n]));
    const limits = new Map([...positions.keys()].map((shard) => [shard, 1_000]));
    const { events } = await reader.read({ positions, previous: undefined, limits });
    return events.map(({ type }) => type);
  } finally {
    await reader.close();
  }
}

/** What every saga storage must do. */
export const sagaStorageContract: readonly ContractCase<StorageUnderTest>[] = [
  {
    name: 'creates an unowned saga as pending and finds it',
    async run({ sagas }) {
      const saga = newSaga();
      assert.deepEqual(await sagas.create(saga), { outcome: 'created', sagaId: saga.sagaId });
      const row = await sagas.find(saga.sagaId);
      assert.equal(row?.status, 'pending');
      assert.equal(row.name, saga.name);
      assert.deepEqual(row.tags, { shop: 'north' });
      assert.equal(row.endedAt, null);
      assert.ok(row.startedAt instanceof Date);
    },
  },
  {
    name: 'finds nothing under an unknown id',
    async run({ sagas }) {
      for (const id of [uuidV7(), 'no-uuid']) {
        assert.equal(await sagas.find(id), undefined);
        assert.deepEqual(await sagas.journal(id), []);
      }
    },
  },
  {
    name: 'answers the same key and input with the saga that is there, another input with a conflict',
    async run({ sagas }) {
      const first = newSaga({ idempotencyKey: 'order-1' });
      await sagas.create(first);
      const again = { ...first, sagaId: uuidV7() };
      assert.deepEqual(await sagas.create(again), { outcome: 'existing', sagaId: first.sagaId });
      assert.deepEqual(await sagas.create({ ...again, inputHash: 'other' }), {
        outcome: 'conflict',
        sagaId: first.sagaId,
      });
      assert.equal(await sagas.find(again.sagaId), undefined);
    },
  },
  {
    name: 'makes one saga of twenty equal starts at once',
    async run({ sagas }) {
      const first = newSaga({ idempotencyKey: 'order-1' });
      const starts = Array.from({ length: 20 }, () => sagas.create({ ...first, sagaId: uuidV7() }));
      const outcomes = await Promise.all(starts);
      assert.equal(outcomes.filter(({ outcome }) => outcome === 'created').length, 1);
      assert.equal(new Set(outcomes.map(({ sagaId }) => sagaId)).size, 1);
    },
  },
  {
    name: 'keeps keys of different sagas apart',
    async run({ sagas }) {
      const [a, b] = [newSaga({ idempotencyKey: 'k' }), newSaga({ idempotencyKey: 'k' })];
      assert.equal((await sagas.create(a)).outcome, 'created');
      assert.equal((await sagas.create(b)).outcome, 'created');
    },
  },
  {
    name: 'stores entries, events, status and end of a write together',
    async run(storage) {
      const saga = newSaga({ owner: unique('w'), launch: ['a'] });
      const type = unique('type');
      await storage.sagas.create(saga);
      const end = { results: '{"a":{"ok":true}}', error: null };
      const entries = [entry(1, 1, { launch: ['b', 'c'] }), entry(2, 1, { step: null, data: null })];
      await storage.sagas.append(
        writeOf(saga, 1, { entries, events: [eventOf('k', type)], status: 'completed', end }),
      );
      assert.deepEqual(await journalOf(storage.sagas, saga.sagaId), entries);
      const row = await storage.sagas.find(saga.sagaId);
      assert.equal(row?.status, 'completed');
      assert.equal(row.results, end.results);
      assert.ok(row.endedAt instanceof Date);
      const missing = uuidV7();
      const open = newSaga();
      await storage.sagas.create(open);
      const ended = await storage.sagas.ended([saga.sagaId, open.sagaId, missing]);
      assert.deepEqual([...ended].sort(), [saga.sagaId, missing].sort());
      assert.ok((await pendingTypes(storage)).includes(type));
    },
  },
  {
    name: 'refuses a write of an old or a future epoch and stores nothing of it',
    async run(storage) {
      const saga = newSaga({ owner: unique('w'), launch: ['a'] });
      const type = unique('type');
      await storage.sagas.create(saga);
      for (const epoch of [0, 2]) {
        const write = writeOf(saga, epoch, { events: [eventOf('k', type)], status: 'compensating' });
        await assert.rejects(storage.sagas.append(write), FencedError);
      }
      assert.deepEqual(await storage.sagas.journal(saga.sagaId), []);
      assert.equal((await storage.sagas.find(saga.sagaId))?.status, 'running');
      assert.ok(!(await pendingTypes(storage)).includes(type));
    },
  },
  {
    name: 'takes a repeated write once, its events too',
    async run(storage) {
      const saga = newSaga({ owner: unique('w'), launch: ['a'] });
      const type = unique('type');
      await storage.sagas.create(saga);
      const write = writeOf(saga, 1, { events: [eventOf('k', type)] });
      await storage.sagas.append(write);
      await storage.sagas.append(write);
      assert.equal((await storage.sagas.journal(saga.sagaId)).length, 1);
      assert.equal((await pendingTypes(storage)).filter((it) => it === type).length, 1);
    },
  },
  {
    name: 'gives an unowned saga to one of two claims, with the next epoch, its input and its journal',
    async run({ sagas, workers }) {
      const saga = newSaga();
      await sagas.create(saga);
      const ids = [unique('w1'), unique('w2')];
      for (const id of ids) await workers.heartbeat({ id, relays: false, leaseMs: LEASE_MS });
      const claims = await Promise.all(ids.map((id) => sagas.claim(claimOf(saga, id))));
      const [claimed, ...rest] = claims.flat();
      assert.equal(rest.length, 0);
      assert.equal(claimed?.epoch, 1);
      assert.equal(claimed.status, 'running');
      assert.equal(claimed.input, saga.input);
      assert.deepEqual(claimed.journal, []);
      assert.equal(claimed.silentMs, undefined);
    },
  },
  {
    name: 'leaves sagas of a live worker alone and gives those of a silent one, with how long it was silent',
    async run({ sagas, workers }) {
      const owner = unique('w1');
      const saga = newSaga({ owner, launch: ['a'] });
      await workers.heartbeat({ id: owner, relays: false, leaseMs: 200 });
      await sagas.create(saga);
      await sagas.append(writeOf(saga, 1));
      assert.deepEqual(await sagas.claim(claimOf(saga, unique('w2'))), []);
      await until(async () => (await workers.findDead()).includes(owner));
      assert.equal(await workers.heartbeat({ id: owner, relays: false, leaseMs: 200 }), false);
      const [claimed] = await sagas.claim(claimOf(saga, unique('w2')));
      assert.equal(claimed?.epoch, 2);
      assert.equal(claimed.orphaned, true);
      assert.deepEqual(claimed.launch, ['a']);
      assert.equal(claimed.journal.length, 1);
      assert.ok((claimed.silentMs ?? 0) >= 200);
    },
  },
  {
    name: 'gives the sagas of a retired worker at once',
    async run({ sagas, workers }) {
      const owner = unique('w1');
      const saga = newSaga({ owner, launch: ['a'] });
      await workers.heartbeat({ id: owner, relays: false, leaseMs: LEASE_MS });
      await sagas.create(saga);
      await workers.retire(owner);
      assert.equal((await sagas.claim(claimOf(saga, unique('w2')))).length, 1);
    },
  },
  {
    name: 'gives a worker its own saga again only when it has lost it',
    async run({ sagas, workers }) {
      const owner = unique('w1');
      const saga = newSaga({ owner, launch: ['a'] });
      await workers.heartbeat({ id: owner, relays: false, leaseMs: LEASE_MS });
      await sagas.create(saga);
      assert.deepEqual(await sagas.claim(claimOf(saga, owner)), []);
      assert.deepEqual(await sagas.claim(claimOf(saga, owner, { held: [] })), []);
      const [claimed] = await sagas.claim(claimOf(saga, owner, { held: [], lost: [saga.sagaId] }));
      assert.equal(claimed?.epoch, 2);
      assert.ok((claimed.silentMs ?? -1) >= 0);
      await assert.rejects(sagas.append(writeOf(saga, 1)), FencedError);
    },
  },
  {
    name: 'gives every saga to one of several workers that claim again and again',
    async run({ sagas, workers }) {
      const name = unique('saga');
      for (let count = 0; count < 300; count++) await sagas.create(newSaga({ name }));
      const ids = Array.from({ length: 6 }, () => unique('w'));
      const claimAll = async (workerId: string) => {
        await workers.heartbeat({ id: workerId, relays: false, leaseMs: LEASE_MS });
        const held: string[] = [];
        for (let empty = 0; empty < 3;) {
          const versions = [{ name, version: 1 }];
          const claimed = await sagas.claim({
            workerId,
            versions,
            held,
            lost: [],
            limit: 20,
          });
          held.push(...claimed.map(({ sagaId }) => sagaId));
          empty = claimed.length === 0 ? empty + 1 : 0;
        }
        return held;
      };
      const held = (await Promise.all(ids.map(claimAll))).flat();
      assert.equal(held.length, 300);
      assert.equal(new Set(held).size, 300);
    },
  },
  {
    name: 'claims the one saga that is asked for',
    async run({ sagas }) {
      const name = unique('saga');
      const [first, second] = [newSaga({ name }), newSaga({ name })];
      for (const saga of [first, second]) await sagas.create(saga);
      const claimed = await sagas.claim(claimOf(first, unique('w'), { only: second.sagaId }));
      assert.deepEqual(
        claimed.map(({ sagaId }) => sagaId),
        [second.sagaId],
      );
    },
  },
  {
    name: 'claims only versions that are asked for, and no more than the limit',
    async run({ sagas }) {
      const name = unique('saga');
      const all = [1, 1, 1, 2].map((version) => newSaga({ name, version }));
      for (const saga of all) await sagas.create(saga);
      const claimed = await sagas.claim({ ...claimOf(all[0] ?? newSaga(), unique('w')), limit: 2 });
      assert.deepEqual(
        claimed.map(({ version }) => version),
        [1, 1],
      );
    },
  },
  {
    name: 'never gives a saga that has ended',
    async run({ sagas }) {
      const saga = newSaga({ owner: unique('w'), launch: ['a'] });
      await sagas.create(saga);
      await sagas.append(writeOf(saga, 1, { status: 'completed', end: { results: '{}', error: null } }));
      assert.deepEqual(await sagas.claim(claimOf(saga, unique('w2'))), []);
    },
  },
  {
    name: 'releases a saga under its epoch only',
    async run({ sagas, workers }) {
      const owner = unique('w1');
      const saga = newSaga({ owner, launch: ['a'] });
      await workers.heartbeat({ id: owner, relays: false, leaseMs: LEASE_MS });
      await sagas.create(saga);
      await assert.rejects(sagas.append(writeOf(saga, 7, { entries: [], release: {} })), FencedError);
      assert.deepEqual(await sagas.claim(claimOf(saga, unique('w2'))), []);
      await sagas.append(writeOf(saga, 1, { entries: [], release: {} }));
      assert.equal((await sagas.claim(claimOf(saga, unique('w3'))))[0]?.epoch, 2);
    },
  },
  {
    name: 'commits a transaction of a step with its entry and events, or nothing when it is fenced',
    async run(storage) {
      const saga = newSaga({ owner: unique('w'), launch: ['a'] });
      const [kept, lost] = [unique('type'), unique('type')];
      await storage.sagas.create(saga);
      const good = await storage.sagas.begin();
      await good.run(() => good.commit(writeOf(saga, 1, { events: [eventOf('k', kept)] })));
      const late = await storage.sagas.begin();
      await assert.rejects(
        late.commit(writeOf(saga, 9, { entries: [entry(2, 9)], events: [eventOf('k', lost)] })),
        FencedError,
      );
      await late.rollback(true);
      assert.equal((await storage.sagas.journal(saga.sagaId)).length, 1);
      const pending = await pendingTypes(storage);
      assert.ok(pending.includes(kept));
      assert.ok(!pending.includes(lost));
    },
  },
  {
    name: 'commits no transaction of a step whose entry is there already',
    async run(storage) {
      const saga = newSaga({ owner: unique('w'), launch: ['a'] });
      const type = unique('type');
      await storage.sagas.create(saga);
      await storage.sagas.append(writeOf(saga, 1));
      const transaction = await storage.sagas.begin();
      const write = writeOf(saga, 1, { events: [eventOf('k', type)] });
      await assert.rejects(transaction.commit(write), CommitUnknownError);
      await transaction.rollback(true);
      assert.ok(!(await pendingTypes(storage)).includes(type));
    },
  },
];
