import assert from 'node:assert/strict';
import type { NewSaga, SagaStorage } from '../../lib/saga/saga-storage.js';
import {
  claimOf,
  LEASE_MS,
  newSaga,
  unique,
  writeOf,
  type ContractCase,
  type StorageUnderTest,
} from './saga-storage.contract.js';

const END = { results: '{}', error: 'null' };
const DATA = '[{"name":"a"}]';

/** A saga under a stored definition. */
async function defined({ sagas }: StorageUnderTest, overrides: Partial<NewSaga> = {}): Promise<NewSaga> {
  const saga = newSaga({ definition: unique('hash').slice(0, 16), ...overrides });
  const { name, version, definition: hash } = saga;
  await sagas.saveDefinition({ name, version, hash, data: DATA });
  await sagas.create(saga);
  return saga;
}

async function ended(storage: StorageUnderTest, status: 'completed' | 'compensated' | 'failed' | 'parked') {
  const saga = newSaga({ owner: unique('owner'), launch: ['a'], idempotencyKey: unique('key') });
  await storage.sagas.create(saga);
  await storage.sagas.append(writeOf(saga, 1, { status, end: END }));
  return saga;
}

async function strandedOf(sagas: SagaStorage, { name }: NewSaga) {
  return (await sagas.stranded()).filter((it) => it.name === name);
}

/** Deletes everything that is older than a moment. */
async function sweep(sagas: SagaStorage, limits: { sagasMs?: number | undefined; keysMs?: number } = {}) {
  const all = { sagasMs: 0, keysMs: 0, limit: 1_000, ...limits };
  await new Promise((resolve) => setTimeout(resolve, 5));
  return sagas.deleteExpired(all);
}

/** What every saga storage must do about definitions, and about what is old. */
export const sagaKeepingContract: readonly ContractCase<StorageUnderTest>[] = [
  {
    name: 'keeps a definition as it was stored first',
    async run({ sagas }) {
      const wanted = { name: unique('saga'), version: 2, hash: 'abc' };
      assert.equal(await sagas.findDefinition(wanted), undefined);
      await sagas.saveDefinition({ ...wanted, data: DATA });
      await sagas.saveDefinition({ ...wanted, data: DATA });
      assert.deepEqual(JSON.parse((await sagas.findDefinition(wanted)) ?? ''), JSON.parse(DATA));
      assert.equal(await sagas.findDefinition({ ...wanted, version: 1 }), undefined);
      assert.equal(await sagas.findDefinition({ ...wanted, hash: 'abd' }), undefined);
    },
  },
  {
    name: 'gives a saga back with the headers that it was started with, and one without any with none',
    async run({ sagas }) {
      const headers = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' };
      const [traced, plain] = [newSaga({ headers }), newSaga()];
      for (const saga of [traced, plain]) await sagas.create(saga);
      const claimed = async (saga: NewSaga) => (await sagas.claim(claimOf(saga, unique('w'))))[0];
      assert.deepEqual((await claimed(traced))?.headers, headers);
      assert.equal((await claimed(plain))?.headers, undefined);
    },
  },
  {
    name: 'counts sagas that wait, turn back or are stuck',
    async run(storage) {
      const { sagas } = storage;
      const before = await sagas.numbers();
      await sagas.create(newSaga({ delayMs: 60_000 }));
      for (const status of ['failed', 'parked', 'parked', 'completed'] as const) await ended(storage, status);
      const turned = newSaga({ owner: unique('owner'), launch: ['a'] });
      await sagas.create(turned);
      await sagas.append(writeOf(turned, 1, { status: 'compensating' }));
      const after = await sagas.numbers();
      const more = Object.entries(after).map(([status, n]) => [status, n - before[status as 'failed']]);
      assert.deepEqual(Object.fromEntries(more), { waiting: 1, compensating: 1, failed: 1, parked: 2 });
    },
  },
  {
    name: 'gives a saga only to a process with the definition that it was started with, or one that takes any',
    async run(storage) {
      const { sagas } = storage;
      const saga = await defined(storage);
      const { name, version, definition } = saga;
      const claim = (hash: string | undefined) =>
        sagas.claim(claimOf(saga, unique('w'), { versions: [{ name, version, hash }] }));
      assert.deepEqual(await claim('another'), []);
      const [claimed] = await claim(definition);
      assert.equal(claimed?.definition, definition);
      await sagas.append(writeOf(saga, 1, { release: {} }));
      assert.equal((await claim(undefined))[0]?.sagaId, saga.sagaId);
    },
  },
  {
    name: 'gives a saga that was started before definitions were stored to any process with its version',
    async run({ sagas }) {
      const saga = newSaga({ definition: '' });
      await sagas.create(saga);
      const { name, version } = saga;
      const versions = [{ name, version, hash: 'any' }];
      assert.equal((await sagas.claim(claimOf(saga, unique('w'), { versions })))[0]?.sagaId, saga.sagaId);
    },
  },
  {
    name: 'counts sagas that no living worker can run, by their definition',
    async run(storage) {
      const { sagas, workers } = storage;
      const saga = await defined(storage);
      const { name, version, definition: hash } = saga;
      await sagas.create({ ...newSaga(), name, version, definition: hash, delayMs: 60_000 });
      const [group] = await strandedOf(sagas, saga);
      assert.deepEqual([group?.version, group?.hash, group?.count], [version, hash, 2]);
      assert.ok(group?.since instanceof Date && Date.now() - group.since.getTime() < 60_000);
      const beat = { id: unique('w'), relays: false, leaseMs: LEASE_MS };
      await workers.heartbeat({ ...beat, definitions: [{ name, version, hash: 'another' }] });
      assert.equal((await strandedOf(sagas, saga)).length, 1);
      await workers.heartbeat({ ...beat, definitions: [{ name, version, hash }] });
      assert.deepEqual(await strandedOf(sagas, saga), []);
      await workers.heartbeat({ ...beat, definitions: [{ name, version }] });
      assert.deepEqual(await strandedOf(sagas, saga), []);
      await workers.retire(beat.id);
      assert.equal((await strandedOf(sagas, saga)).length, 1);
    },
  },
  {
    name: 'counts no saga that has ended',
    async run(storage) {
      const { sagas } = storage;
      const saga = await defined(storage, { owner: unique('owner'), launch: ['a'] });
      await sagas.append(writeOf(saga, 1, { status: 'parked', end: END }));
      assert.deepEqual(await strandedOf(sagas, saga), []);
    },
  },
  {
    name: 'deletes completed and compensated sagas with all that belongs to them, and keeps failed and parked ones',
    async run(storage) {
      const { sagas } = storage;
      const gone = [await ended(storage, 'completed'), await ended(storage, 'compensated')];
      const kept = [await ended(storage, 'failed'), await ended(storage, 'parked')];
      const running = newSaga({ owner: unique('owner'), launch: ['a'] });
      await sagas.create(running);
      await sagas.signal({ sagaId: running.sagaId, id: 's', name: 'go', payload: '1' });
      const { sagas: count } = await sweep(sagas, { keysMs: 1e9 });
      assert.ok(count >= 2);
      for (const { sagaId, name, idempotencyKey = '' } of gone) {
        assert.equal(await sagas.find(sagaId), undefined);
        assert.deepEqual(await sagas.journal(sagaId), []);
        // The key outlives its saga.
        assert.equal(await sagas.findKey(name, idempotencyKey), sagaId);
      }
      for (const { sagaId } of [...kept, running]) assert.ok(await sagas.find(sagaId));
      assert.equal((await sagas.signals([{ sagaId: running.sagaId, seq: 0 }])).length, 1);
    },
  },
  {
    name: 'keeps what is younger than its retention, and everything without one',
    async run(storage) {
      const { sagas } = storage;
      const saga = await ended(storage, 'completed');
      for (const sagasMs of [60_000, undefined]) {
        await sweep(sagas, { sagasMs, keysMs: 60_000 });
        assert.ok(await sagas.find(saga.sagaId));
        assert.ok(await sagas.findKey(saga.name, saga.idempotencyKey ?? ''));
      }
    },
  },
  {
    name: 'deletes at most so many at once, the oldest first, and comes to the others',
    async run(storage) {
      const { sagas } = storage;
      await sweep(sagas);
      const three: NewSaga[] = [];
      for (let n = 0; n < 3; n++) three.push(await ended(storage, 'completed'));
      await new Promise((resolve) => setTimeout(resolve, 5));
      const left = async () =>
        (await Promise.all(three.map(({ sagaId }) => sagas.find(sagaId)))).filter((row) => row).length;
      for (const expected of [1, 0]) {
        const { sagas: count } = await sagas.deleteExpired({ sagasMs: 0, keysMs: 1e9, limit: 2 });
        assert.deepEqual([await left(), count], [expected, 2 - (1 - expected)]);
      }
    },
  },
  {
    name: 'deletes old keys, but not that of a saga that goes on',
    async run(storage) {
      const { sagas } = storage;
      const done = await ended(storage, 'completed');
      const waiting = newSaga({ idempotencyKey: unique('key'), delayMs: 60_000 });
      await sagas.create(waiting);
      await sweep(sagas, { sagasMs: undefined });
      assert.equal(await sagas.findKey(done.name, done.idempotencyKey ?? ''), undefined);
      assert.equal(await sagas.findKey(waiting.name, waiting.idempotencyKey ?? ''), waiting.sagaId);
    },
  },
];
