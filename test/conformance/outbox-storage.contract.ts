import assert from 'node:assert/strict';
import { SHARD_COUNT, shardOf } from '../../lib/events/shard.js';
import { until } from '../support/until.js';
import { uuidV7 } from '../../lib/events/uuid-v7.js';
import type { PendingEvent } from '../../lib/outbox/outbox-storage.js';
import { eventOf, LEASE_MS, type ContractCase, type StorageUnderTest } from './saga-storage.contract.js';

interface KeyedEvent {
  readonly key: string;
  readonly delayMs?: number;
}

/** Events of a saga's step. @returns their type */
export async function addEvents(
  { sagas }: StorageUnderTest,
  keys: readonly (string | KeyedEvent)[],
): Promise<string> {
  const type = uuidV7();
  const sagaId = uuidV7();
  await sagas.create({
    ...{
      sagaId,
      name: type,
      version: 1,
      input: 'null',
      idempotencyKey: undefined,
      inputHash: '',
      correlationId: '',
      tags: {},
    },
    ...{
      definition: '',
      owner: 'nobody',
      launch: ['a'],
      launchesPivot: false,
      timeoutMs: undefined,
      delayMs: undefined,
    },
  });
  const entry = {
    seq: 1,
    epoch: 1,
    kind: 'step_completed',
    step: 'a',
    attempt: 1,
    launch: [],
    data: null,
  } as const;
  const events = keys.map((it) => {
    const { key, ...more } = typeof it === 'string' ? { key: it } : it;
    return { ...eventOf(key, type), ...more };
  });
  await sagas.append({ sagaId, epoch: 1, entries: [entry], events });
  return type;
}

export async function read(
  { outbox }: StorageUnderTest,
  shards: readonly number[],
  limit = 1_000,
): Promise<readonly PendingEvent[]> {
  const reader = await outbox.openReader();
  try {
    const positions = new Map(shards.map((shard) => [shard, 0n]));
    const limits = new Map(shards.map((shard) => [shard, limit]));
    return (await reader.read({ positions, previous: undefined, limits })).events;
  } finally {
    await reader.close();
  }
}

export const ALL = Array.from({ length: SHARD_COUNT }, (_, shard) => shard);

/** What every outbox storage must do. Cases share one storage; each ends with no worker alive. */
export const outboxStorageContract: readonly ContractCase<StorageUnderTest>[] = [
  {
    name: 'reads the events of a key in the order in which they were written, until they are removed',
    async run(storage) {
      const type = await addEvents(storage, ['k', 'k', 'k']);
      const mine = (await read(storage, ALL)).filter((event) => event.type === type);
      assert.equal(mine.length, 3);
      assert.deepEqual(
        mine.map(({ id }) => id),
        mine.map(({ id }) => id).sort((a, b) => (a < b ? -1 : 1)),
      );
      assert.equal(mine[0]?.payload, '{"n":1}');
      assert.ok(Math.abs((mine[0]?.createdMs ?? 0) - Date.now()) < 60_000);
      await storage.outbox.remove(mine.slice(0, 2));
      await storage.outbox.remove(mine.slice(0, 2));
      const left = (await read(storage, ALL)).filter((event) => event.type === type);
      assert.deepEqual(
        left.map(({ eventId }) => eventId),
        [mine[2]?.eventId],
      );
    },
  },
  {
    name: 'reads only the shards that are asked for, each up to the limit, above its position',
    async run(storage) {
      const type = await addEvents(
        storage,
        Array.from({ length: 40 }, (_, index) => `key-${index}`),
      );
      const everything = (await read(storage, ALL)).filter((event) => event.type === type);
      const shard = everything[0]?.shard ?? 0;
      const ofShard = await read(storage, [shard]);
      assert.ok(ofShard.every((event) => event.shard === shard));
      assert.equal((await read(storage, [shard], 1)).length, 1);
      const reader = await storage.outbox.openReader();
      const first = ofShard[0]?.id ?? 0n;
      const above = await reader.read({
        positions: new Map([[shard, first]]),
        previous: undefined,
        limits: new Map([[shard, 1_000]]),
      });
      await reader.close();
      assert.deepEqual(
        above.events.map(({ id }) => id),
        ofShard.slice(1).map(({ id }) => id),
      );
    },
  },
  {
    name: 'leases every shard to the only worker and shares them fairly with a second one',
    async run({ workers, outbox }) {
      const [a, b] = [uuidV7(), uuidV7()];
      await workers.heartbeat({ id: a, relays: true, leaseMs: LEASE_MS });
      assert.deepEqual(await outbox.leaseShards(a), ALL);
      await workers.heartbeat({ id: b, relays: true, leaseMs: LEASE_MS });
      assert.deepEqual(await outbox.leaseShards(b), []);
      const ofA = await outbox.leaseShards(a);
      const ofB = await outbox.leaseShards(b);
      assert.equal(ofA.length, SHARD_COUNT / 2);
      assert.deepEqual(
        [...ofA, ...ofB].sort((x, y) => x - y),
        ALL,
      );
      await outbox.releaseShards(a);
      await workers.retire(a);
      assert.deepEqual(await outbox.leaseShards(b), ALL);
      await outbox.releaseShards(b);
      await workers.retire(b);
    },
  },
  {
    name: 'never leases one shard to two workers that ask at once',
    async run({ workers, outbox }) {
      const ids = Array.from({ length: 5 }, () => uuidV7());
      for (const id of ids) await workers.heartbeat({ id, relays: true, leaseMs: LEASE_MS });
      for (let round = 0; round < 4; round++) {
        const leases = await Promise.all(ids.map((id) => outbox.leaseShards(id)));
        assert.equal(new Set(leases.flat()).size, leases.flat().length);
      }
      const owned = await Promise.all(ids.map((id) => outbox.leaseShards(id)));
      assert.equal(owned.flat().length, SHARD_COUNT);
      for (const id of ids) {
        await outbox.releaseShards(id);
        await workers.retire(id);
      }
    },
  },
  {
    name: 'leaves no shard to a worker that is silent, and none to one that does not relay',
    async run({ workers, outbox }) {
      const [silent, saga, live] = [uuidV7(), uuidV7(), uuidV7()];
      await workers.heartbeat({ id: silent, relays: true, leaseMs: 100 });
      await outbox.leaseShards(silent);
      await until(async () => (await workers.findDead()).includes(silent));
      await workers.heartbeat({ id: saga, relays: false, leaseMs: LEASE_MS });
      await workers.heartbeat({ id: live, relays: true, leaseMs: LEASE_MS });
      assert.deepEqual(await outbox.leaseShards(live), ALL);
      await outbox.releaseShards(live);
      for (const id of [silent, saga, live]) await workers.retire(id);
    },
  },
  {
    name: 'counts what is pending by destination and shard, and how old it is',
    async run(storage) {
      const { outbox } = storage;
      await outbox.remove(await read(storage, ALL));
      const before = await outbox.numbers();
      assert.deepEqual([[...before.pending], [...before.lag], [...before.oldestAgeMs]], [[], [], []]);
      await addEvents(storage, ['k', 'k', 'k', { key: 'later', delayMs: 60_000 }]);
      const { pending, lag, oldestAgeMs, retrying } = await outbox.numbers();
      assert.deepEqual([...pending], [['default', 3]]);
      assert.deepEqual([...lag], [[shardOf('k'), 3]]);
      const age = oldestAgeMs.get('default') ?? -1;
      assert.ok(age >= 0 && age < 60_000, `${age}`);
      assert.equal(retrying.get('default') ?? 0, (before.retrying.get('default') ?? 0) + 1);
    },
  },
  {
    name: 'lets a worker step aside while another one relays, and never the last, however many ask at once',
    async run({ workers, outbox }) {
      const ids = Array.from({ length: 4 }, () => uuidV7());
      for (const id of ids) await workers.heartbeat({ id, relays: true, leaseMs: LEASE_MS });
      const left = await Promise.all(ids.map((id) => workers.stepAside(id)));
      assert.equal(left.filter(Boolean).length, 3);
      const last = ids[left.indexOf(false)] ?? '';
      assert.deepEqual(await outbox.leaseShards(last), ALL);
      const [aside = ''] = ids.filter((id) => id !== last);
      await workers.heartbeat({ id: aside, relays: true, leaseMs: LEASE_MS });
      assert.equal(await workers.stepAside(last), true);
      for (const id of ids) {
        await outbox.releaseShards(id);
        await workers.retire(id);
      }
    },
  },
  {
    name: 'names the living worker that was known first',
    async run({ workers }) {
      const [a, b] = [uuidV7(), uuidV7()];
      for (let id = await workers.first(); id !== undefined; id = await workers.first())
        await workers.retire(id);
      const mine = async () => [a, b].indexOf((await workers.first()) ?? '');
      for (const id of [a, b]) await workers.heartbeat({ id, relays: false, leaseMs: LEASE_MS });
      assert.equal(await mine(), 0);
      await workers.retire(a);
      assert.equal(await mine(), 1);
      await workers.retire(b);
    },
  },
];
