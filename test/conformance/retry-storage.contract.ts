import assert from 'node:assert/strict';
import type { AdminAction } from '../../lib/saga/state/audit.js';
import { shardOf } from '../../lib/events/shard.js';
import type { PendingEvent } from '../../lib/outbox/outbox-storage.js';
import type { Diverted, ListedLetter, RetryEvent, RetryResult } from '../../lib/outbox/retry-storage.js';
import { until } from '../support/until.js';
import { addEvents, ALL, read } from './outbox-storage.contract.js';
import { unique, type ContractCase, type StorageUnderTest } from './saga-storage.contract.js';

const FAR_MS = 60_000;

/** The worker that has every shard. */
const OWNER = unique('relay');

/** Events of these keys in the outbox, in their order. */
async function pending(storage: StorageUnderTest, keys: readonly string[]): Promise<readonly PendingEvent[]> {
  await storage.workers.heartbeat({ id: OWNER, relays: true, leaseMs: 60_000 });
  await storage.outbox.leaseShards(OWNER);
  const type = await addEvents(storage, keys);
  const events = (await read(storage, ALL)).filter((event) => event.type === type);
  return events.toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

const failed = (event: PendingEvent, nextInMs = 0, attempts = 1): Diverted => ({
  event,
  failure: { attempts, reason: 'busy', nextInMs },
});
const parked = (event: PendingEvent): Diverted => ({
  event,
  failure: { attempts: 1, reason: 'no', nextInMs: undefined },
});
const behind = (event: PendingEvent): Diverted => ({ event, failure: undefined });

async function due({ retries }: StorageUnderTest, key: string, except: readonly string[] = []) {
  // A time that has just been set may lie some microseconds ahead.
  await new Promise((resolve) => setTimeout(resolve, 2));
  const found = await retries.due({ shards: [shardOf(key)], except, limit: 100 });
  return found.filter((event) => event.key === key);
}

const ids = (events: readonly { readonly eventId: string }[]) => events.map(({ eventId }) => eventId);

function settleAll(storage: StorageUnderTest, events: readonly RetryEvent[], how: 'published' | 'dead') {
  return storage.retries.settle(
    OWNER,
    events.map((event): RetryResult =>
      how === 'dead'
        ? { event, outcome: 'dead', reason: 'exhausted: busy' }
        : { event, outcome: 'published' },
    ),
  );
}

const audit = (action: AdminAction) => ({ actor: 'ada', action, target: 'letters', reason: null });

/** What every retry storage must do. Cases share one storage. */
export const retryStorageContract: readonly ContractCase<StorageUnderTest>[] = [
  {
    name: 'moves events out of the outbox, in their order, and gives them when the first of their key is due',
    async run(storage) {
      const key = unique('key');
      const events = await pending(storage, [key, key, key]);
      const [first, second, third] = events as [PendingEvent, PendingEvent, PendingEvent];
      await storage.retries.divert(OWNER, [failed(first, FAR_MS), behind(second), behind(third)]);
      assert.deepEqual(
        (await read(storage, ALL)).filter((event) => event.key === key),
        [],
      );
      assert.deepEqual(await due(storage, key), []);
      const keys = await storage.retries.blockedKeys(ALL);
      assert.deepEqual(
        keys.filter((it) => it.key === key),
        [{ shard: shardOf(key), destination: 'default', key, events: 3, parked: false, stalled: false }],
      );
      const other = unique('key');
      const [now, then] = (await pending(storage, [other, other])) as [PendingEvent, PendingEvent];
      await storage.retries.divert(OWNER, [failed(now), behind(then)]);
      const found = await due(storage, other);
      assert.deepEqual(ids(found), ids([now, then]));
      const [head] = found;
      assert.deepEqual([head?.attempts, head?.blocks, head?.payload], [1, true, now.payload]);
      assert.ok(Math.abs((head?.createdMs ?? 0) - now.createdMs) < 1);
      assert.deepEqual(await due(storage, other, ['default']), []);
    },
  },
  {
    name: 'leaves an event where it is that is not in the outbox any more',
    async run(storage) {
      const key = unique('key');
      const [event] = await pending(storage, [key]);
      if (!event) throw new Error('there is one');
      await storage.outbox.remove([event]);
      await storage.retries.divert(OWNER, [failed(event)]);
      await storage.retries.bury(OWNER, [{ event, reason: 'rejected: no' }]);
      assert.deepEqual(await due(storage, key), []);
      assert.deepEqual(await storage.retries.deadLetters({ key }, 10), []);
    },
  },
  {
    name: 'makes the next event of a key due when its head is published, and frees the key with the last one',
    async run(storage) {
      const key = unique('key');
      const events = await pending(storage, [key, key]);
      const [first, second] = events as [PendingEvent, PendingEvent];
      await storage.retries.divert(OWNER, [failed(first), behind(second)]);
      const [head] = await due(storage, key);
      if (!head) throw new Error('it is due');
      await settleAll(storage, [head], 'published');
      const next = await due(storage, key);
      assert.deepEqual(ids(next), [second.eventId]);
      await settleAll(storage, next, 'published');
      assert.deepEqual(await due(storage, key), []);
      assert.equal(
        (await storage.retries.blockedKeys(ALL)).some((it) => it.key === key),
        false,
      );
    },
  },
  {
    name: 'keeps an event that a worker published which has lost its shard: who has it now counts on it',
    async run(storage) {
      const key = unique('key');
      const events = await pending(storage, [key, key]);
      const [first, second] = events as [PendingEvent, PendingEvent];
      await storage.retries.divert(OWNER, [failed(first), behind(second)]);
      const [head] = await due(storage, key);
      if (!head) throw new Error('it is due');
      await storage.retries.settle(unique('frozen'), [{ event: head, outcome: 'published' }]);
      assert.deepEqual(ids(await due(storage, key)), ids([first, second]));
    },
  },
  {
    name: 'waits for the next attempt of an event that failed again, and counts its attempts',
    async run(storage) {
      const key = unique('key');
      const [event] = await pending(storage, [key]);
      if (!event) throw new Error('there is one');
      await storage.retries.divert(OWNER, [failed(event)]);
      const again = async (nextInMs: number) => {
        const [head] = await due(storage, key);
        if (!head) throw new Error('it is due');
        const failure = { attempts: head.attempts + 1, reason: 'still busy', nextInMs };
        await storage.retries.settle(OWNER, [{ event: head, outcome: 'failed', failure }]);
      };
      await again(20);
      await until(async () => (await due(storage, key))[0]?.attempts === 2);
      await again(FAR_MS);
      assert.deepEqual(await due(storage, key), []);
    },
  },
  {
    name: 'keeps dead letters of both kinds, found by what they are, and lets the key go on',
    async run(storage) {
      const key = unique('key');
      const events = await pending(storage, [key, key, key]);
      const [refused, spent, after] = events as [PendingEvent, PendingEvent, PendingEvent];
      await storage.retries.bury(OWNER, [{ event: refused, reason: 'rejected: too large' }]);
      await storage.retries.divert(OWNER, [failed(spent, 0, 9), behind(after)]);
      const [head] = await due(storage, key);
      if (!head) throw new Error('it is due');
      await settleAll(storage, [head], 'dead');
      assert.deepEqual(ids(await due(storage, key)), [after.eventId]);
      const letters = await storage.retries.deadLetters({ key }, 10);
      const seen = letters.map(({ eventId, reason, attempts }) => [eventId, reason, attempts]);
      assert.deepEqual(
        seen.toSorted(),
        [
          [refused.eventId, 'rejected: too large', 1],
          [spent.eventId, 'exhausted: busy', 10],
        ].toSorted(),
      );
      assert.ok(
        letters.every(({ diedAt, createdAt }) => diedAt instanceof Date && createdAt instanceof Date),
      );
      assert.equal((await storage.retries.deadLetters({ key }, 1)).length, 1);
      const count = async (filter: object) =>
        (await storage.retries.deadLetters({ key, ...filter }, 10)).length;
      assert.equal(await count({ eventIds: [refused.eventId] }), 1);
      assert.equal(await count({ type: refused.type, destination: 'default' }), 2);
      assert.equal(await count({ destination: 'elsewhere' }), 0);
      assert.equal(await count({ diedAfter: new Date(Date.now() + FAR_MS) }), 0);
      assert.equal(await count({ diedBefore: new Date(Date.now() + FAR_MS) }), 2);
    },
  },
  {
    name: 'lists dead letters of both kinds page by page, each once, without what they carry',
    async run(storage) {
      const [key, other] = [unique('key'), unique('key')];
      const events = await pending(storage, [key, key, key, key, other]);
      const reason = 'rejected: no';
      await storage.retries.bury(
        OWNER,
        events.slice(0, 3).map((event) => ({ event, reason })),
      );
      await storage.retries.divert(OWNER, events.slice(3, 4).map(parked));
      await storage.retries.bury(
        OWNER,
        events.slice(4).map((event) => ({ event, reason })),
      );
      const whole = await storage.retries.deadLetters({ key }, 10);
      const seen: ListedLetter[] = [];
      for (let page = await storage.retries.listDeadLetters({ key }, { limit: 1 }); page.length > 0;) {
        seen.push(...page);
        page = await storage.retries.listDeadLetters({ key }, { limit: 1, after: seen.at(-1)?.place });
      }
      assert.equal(seen.length, 4);
      assert.deepEqual(
        seen.map(({ letter }) => letter),
        whole.map(({ payload: _, headers: __, ...letter }) => letter),
      );
    },
  },
  {
    name: 'gives requeued dead letters another round without blocking their key, and forgets discarded ones',
    async run(storage) {
      const key = unique('key');
      const events = await pending(storage, [key, key]);
      const [one, other] = events as [PendingEvent, PendingEvent];
      await storage.retries.bury(
        OWNER,
        events.map((event) => ({ event, reason: 'rejected: no' })),
      );
      assert.equal(await storage.retries.requeue({ eventIds: [one.eventId] }, audit('requeue')), 1);
      const [again] = await due(storage, key);
      assert.deepEqual([again?.eventId, again?.blocks, again?.attempts], [one.eventId, false, 0]);
      assert.equal(
        (await storage.retries.blockedKeys(ALL)).some((it) => it.key === key),
        false,
      );
      assert.equal(await storage.retries.discard({ key }, audit('discard')), 1);
      assert.equal(await storage.retries.requeue({ eventIds: [other.eventId] }, audit('requeue')), 0);
      assert.deepEqual(await storage.retries.deadLetters({ key }, 10), []);
    },
  },
  {
    name: 'parks a key until its first event is requeued, which keeps its place',
    async run(storage) {
      const key = unique('key');
      const events = await pending(storage, [key, key]);
      const [first, second] = events as [PendingEvent, PendingEvent];
      await storage.retries.divert(OWNER, [parked(first), behind(second)]);
      assert.deepEqual(await due(storage, key), []);
      const [blocked] = (await storage.retries.blockedKeys(ALL)).filter((it) => it.key === key);
      assert.deepEqual([blocked?.events, blocked?.parked], [2, true]);
      const [letter] = await storage.retries.deadLetters({ key }, 10);
      assert.deepEqual([letter?.eventId, letter?.parked, letter?.reason], [first.eventId, true, 'no']);
      assert.equal(await storage.retries.requeue({ key }, audit('requeue')), 1);
      const found = await due(storage, key);
      assert.deepEqual(ids(found), [first.eventId, second.eventId]);
      const [head] = found;
      if (!head) throw new Error('it is due');
      await storage.retries.settle(OWNER, [{ event: head, outcome: 'parked', reason: 'still no' }]);
      assert.deepEqual(await due(storage, key), []);
      assert.deepEqual(ids(await storage.retries.deadLetters({ key }, 10)), [first.eventId]);
    },
  },
  {
    name: 'lets a parked key go on when its first event is discarded',
    async run(storage) {
      const key = unique('key');
      const events = await pending(storage, [key, key]);
      const [first, second] = events as [PendingEvent, PendingEvent];
      await storage.retries.divert(OWNER, [parked(first), behind(second)]);
      assert.equal(await storage.retries.discard({ eventIds: [first.eventId] }, audit('discard')), 1);
      const next = await due(storage, key);
      assert.deepEqual(ids(next), [second.eventId]);
      await settleAll(storage, next, 'published');
      assert.equal(
        (await storage.retries.blockedKeys(ALL)).some((it) => it.key === key),
        false,
      );
    },
  },
  {
    name: 'an event that waits for an operator goes out with no other decision than its own, nor do those behind it',
    async run(storage) {
      const key = unique('key');
      const events = await pending(storage, [key, key, key, key]);
      const [first, second, third, fourth] = events as [
        PendingEvent,
        PendingEvent,
        PendingEvent,
        PendingEvent,
      ];
      await storage.retries.divert(OWNER, [parked(first), parked(second), parked(third), behind(fourth)]);
      assert.equal(await storage.retries.discard({ eventIds: [third.eventId] }, audit('discard')), 1);
      assert.deepEqual(await due(storage, key), []);
      assert.equal(await storage.retries.requeue({ eventIds: [second.eventId] }, audit('requeue')), 1);
      assert.deepEqual(await due(storage, key), []);
      assert.equal(await storage.retries.requeue({ eventIds: [first.eventId] }, audit('requeue')), 1);
      const found = await due(storage, key);
      assert.deepEqual(ids(found), ids([first, second, fourth]));
      const [, middle] = found;
      if (!middle) throw new Error('it is due');
      await storage.retries.settle(OWNER, [{ event: middle, outcome: 'parked', reason: 'no' }]);
      assert.deepEqual(ids(await due(storage, key)), [first.eventId]);
    },
  },
  {
    name: 'an event that came behind a parked one in the moment of its discard is found stalled, and is due once promoted',
    async run(storage) {
      const key = unique('key');
      const events = await pending(storage, [key, key]);
      const [first, second] = events as [PendingEvent, PendingEvent];
      await storage.retries.divert(OWNER, [parked(first)]);
      assert.equal(await storage.retries.discard({ key }, audit('discard')), 1);
      await storage.retries.divert(OWNER, [behind(second)]);
      assert.deepEqual(await due(storage, key), []);
      const blocked = (await storage.retries.blockedKeys(ALL)).filter((it) => it.key === key);
      assert.deepEqual(blocked, [
        { shard: shardOf(key), destination: 'default', key, events: 1, parked: false, stalled: true },
      ]);
      await storage.retries.promote(blocked);
      assert.deepEqual(ids(await due(storage, key)), [second.eventId]);
      // One that waits for its next attempt, or for an operator, goes on waiting.
      const [far] = await pending(storage, [unique('key')]);
      const [stuck] = await pending(storage, [unique('key')]);
      if (!far || !stuck) throw new Error('there are two');
      await storage.retries.divert(OWNER, [failed(far, FAR_MS), parked(stuck)]);
      const others = await storage.retries.blockedKeys(ALL);
      assert.ok(others.filter((it) => it.key === far.key || it.key === stuck.key).every((it) => !it.stalled));
      await storage.retries.promote(others);
      assert.deepEqual([await due(storage, far.key), await due(storage, stuck.key)], [[], []]);
    },
  },
  {
    name: 'gives an event that is for later at its time, and it blocks nobody',
    async run(storage) {
      const [soon, later] = [unique('soon'), unique('later')];
      await pending(storage, []);
      await addEvents(storage, [
        { key: soon, delayMs: 1 },
        { key: later, delayMs: FAR_MS },
      ]);
      await until(async () => (await due(storage, soon)).length === 1);
      const [event] = await due(storage, soon);
      assert.deepEqual([event?.blocks, event?.attempts, event?.flights], [false, 0, 0]);
      assert.deepEqual(await due(storage, later), []);
      const blocked = await storage.retries.blockedKeys(ALL);
      assert.equal(
        blocked.some(({ key }) => key === soon || key === later),
        false,
      );
    },
  },
];
