import type { Clock } from '../../runtime/clock.js';
import { groupBy } from '../../runtime/group-by.js';
import type { PendingEvent } from '../../outbox/outbox-storage.js';
import {
  CHANGED_AT_ONCE,
  RetryStorage,
  type BlockedKey,
  type Buried,
  type DeadLetter,
  type DeadLetterFilter,
  type DeadLetterPlace,
  type DeadLetterSlice,
  type DeadLetterView,
  type Diverted,
  isGone,
  type ListedLetter,
  type PlacedKey,
  type DueRequest,
  type RetryEvent,
  type RetryResult,
} from '../../outbox/retry-storage.js';
import type { NewAudit } from '../../saga/state/audit.js';
import type { MemoryDatabase, MemoryRetry } from './memory-database.js';

/** Events in trouble, in memory. One process has them all. */
export class MemoryRetryStorage extends RetryStorage {
  constructor(
    private readonly database: MemoryDatabase,
    private readonly clock: Clock,
  ) {
    super();
  }

  divert(_workerId: string, events: readonly Diverted[]): Promise<void> {
    for (const { event, failure } of events) {
      if (!this.database.events.delete(event.id)) continue;
      const { attempts = 0, reason, nextInMs } = failure ?? {};
      const nextAt = nextInMs === undefined ? undefined : this.clock.monotonic() + nextInMs;
      const parked = failure !== undefined && nextAt === undefined;
      const parkedAt = parked ? new Date(this.clock.now()) : undefined;
      this.database.addRetry({ event, attempts, reason, blocks: true, nextAt, parkedAt });
    }
    return Promise.resolve();
  }

  bury(_workerId: string, events: readonly Buried[]): Promise<void> {
    for (const { event, reason } of events)
      if (this.database.events.delete(event.id)) this.lay(event, reason, 1);
    return Promise.resolve();
  }

  blockedKeys(shards: readonly number[]): Promise<readonly BlockedKey[]> {
    const blocking = this.rows.filter(({ event, blocks }) => blocks && shards.includes(event.shard));
    const groups = groupBy(blocking, ({ event }) => keyOf(event));
    return Promise.resolve(
      [...groups.values()].flatMap((rows) => {
        const [first] = rows;
        if (!first) return [];
        const { shard, destination, key } = first.event;
        const parked = rows.some(({ parkedAt }) => parkedAt !== undefined);
        const stalled = first.nextAt === undefined && first.parkedAt === undefined;
        return [{ shard, destination, key, events: rows.length, parked, stalled }];
      }),
    );
  }

  promote(keys: readonly PlacedKey[]): Promise<void> {
    for (const key of keys) this.promoteFirst(key);
    return Promise.resolve();
  }

  due({ shards, except, limit }: DueRequest): Promise<readonly RetryEvent[]> {
    const now = this.clock.monotonic();
    const heads = this.rows
      .filter(
        ({ event, nextAt }) =>
          nextAt !== undefined &&
          nextAt <= now &&
          shards.includes(event.shard) &&
          !except.includes(event.destination),
      )
      .slice(0, limit);
    const keys = new Set(heads.filter(({ blocks }) => blocks).map(({ event }) => keyOf(event)));
    const held = new Set<string>();
    const due = this.rows.filter((row) => {
      if (!row.blocks) return heads.includes(row);
      const key = keyOf(row.event);
      if (row.parkedAt) held.add(key);
      return keys.has(key) && !held.has(key);
    });
    return Promise.resolve(
      due.map(({ event: { id: _, ...event }, seq, blocks, attempts }) => ({
        ...event,
        seq,
        blocks,
        attempts,
        flights: 0,
      })),
    );
  }

  settle(workerId: string, results: readonly RetryResult[]): Promise<void> {
    const { retries, shardOwners } = this.database;
    for (const result of results) {
      const row = retries.get(result.event.seq);
      if (!row || shardOwners[row.event.shard] !== workerId) continue;
      if (result.outcome === 'failed') {
        const { attempts, reason, nextInMs } = result.failure;
        Object.assign(row, { attempts, reason, nextAt: this.clock.monotonic() + nextInMs });
        continue;
      }
      if (result.outcome === 'parked') {
        const parkedAt = new Date(this.clock.now());
        const { reason } = result;
        Object.assign(row, { attempts: row.attempts + 1, reason, nextAt: undefined, parkedAt });
      }
      if (!isGone(result.outcome)) continue;
      retries.delete(row.seq);
      if (result.outcome === 'dead') this.lay(row.event, result.reason, row.attempts + 1);
      if (row.blocks) this.promoteFirst(row.event);
    }
    return Promise.resolve();
  }

  /** A process that dies takes its memory with it. */
  depart(): Promise<void> {
    return Promise.resolve();
  }

  arrive(): Promise<void> {
    return Promise.resolve();
  }

  deadLetters(filter: DeadLetterFilter, limit: number): Promise<readonly DeadLetter[]> {
    return Promise.resolve(this.letters(filter).slice(0, limit));
  }

  listDeadLetters(
    filter: DeadLetterFilter,
    { limit, after }: DeadLetterSlice,
  ): Promise<readonly ListedLetter[]> {
    const listed = this.letters(filter).map(({ payload: _, headers: __, ...letter }) => ({
      letter,
      place: placeOf(letter),
    }));
    const behind = after ? listed.filter(({ place }) => comparePlaces(place, after) > 0) : listed;
    return Promise.resolve(behind.slice(0, limit));
  }

  requeue(filter: DeadLetterFilter, audit: NewAudit): Promise<number> {
    const chosen = this.chosen(filter);
    for (const { name, event } of chosen) {
      this.database.deadLetters.delete(name);
      const nextAt = this.clock.monotonic();
      this.database.addRetry({
        ...{ event, attempts: 0, reason: 'requeued', blocks: false, nextAt, parkedAt: undefined },
      });
    }
    const parked = this.parked(filter);
    for (const { row } of parked) {
      const nextAt = this.clock.monotonic();
      Object.assign(row, { attempts: 0, reason: 'requeued', nextAt, parkedAt: undefined });
    }
    return this.noted(audit, chosen.length + parked.length);
  }

  discard(filter: DeadLetterFilter, audit: NewAudit): Promise<number> {
    const chosen = this.chosen(filter);
    for (const { name } of chosen) this.database.deadLetters.delete(name);
    const parked = this.parked(filter);
    for (const { row } of parked) {
      this.database.retries.delete(row.seq);
      this.promoteFirst(row.event);
    }
    return this.noted(audit, chosen.length + parked.length);
  }

  /** The latest first. */
  private letters(filter: DeadLetterFilter): readonly DeadLetter[] {
    return [...this.parked(filter), ...this.chosen(filter)]
      .map(({ letter }) => letter)
      .sort((a, b) => comparePlaces(placeOf(a), placeOf(b)));
  }

  private noted(audit: NewAudit, events: number): Promise<number> {
    for (let left = events; left > 0; left -= CHANGED_AT_ONCE) {
      const after = { events: Math.min(left, CHANGED_AT_ONCE) };
      this.database.note({ ...audit, after }, this.clock.now());
    }
    return Promise.resolve(events);
  }

  private get rows(): readonly MemoryRetry[] {
    return [...this.database.retries.values()];
  }

  private lay(event: PendingEvent, reason: string, attempts: number): void {
    const { eventId, destination, type, key, payload, headers, createdMs } = event;
    const own = { eventId, destination, type, key, payload, headers, reason, attempts };
    const times = { createdAt: new Date(createdMs), diedAt: new Date(this.clock.now()) };
    const letter = { ...own, ...times, parked: false };
    this.database.deadLetters.set(`${eventId} ${destination}`, { letter, event });
  }

  private promoteFirst(key: PlacedKey): void {
    const first = this.rows.find((row) => row.blocks && keyOf(row.event) === keyOf(key));
    if (first && !first.parkedAt) first.nextAt ??= this.clock.monotonic();
  }

  private parked(filter: DeadLetterFilter) {
    return this.rows.flatMap((row) => {
      const { event, reason = '', attempts, parkedAt } = row;
      if (!parkedAt) return [];
      const { eventId, destination, type, key, payload, headers, createdMs } = event;
      const own = { eventId, destination, type, key, payload, headers, reason, attempts };
      const letter = { ...own, createdAt: new Date(createdMs), diedAt: parkedAt, parked: true };
      return matches(letter, filter) ? [{ row, letter }] : [];
    });
  }

  private chosen(filter: DeadLetterFilter) {
    return [...this.database.deadLetters]
      .map(([name, dead]) => ({ name, ...dead }))
      .filter(({ letter }) => matches(letter, filter));
  }
}

function placeOf({ diedAt, eventId, destination }: DeadLetterView): DeadLetterPlace {
  return { diedAt: diedAt.toISOString().replace('Z', '000Z'), eventId, destination };
}

/** As PostgreSQL sorts them. */
function comparePlaces(a: DeadLetterPlace, b: DeadLetterPlace): number {
  if (a.diedAt !== b.diedAt) return a.diedAt > b.diedAt ? -1 : 1;
  if (a.eventId !== b.eventId) return a.eventId < b.eventId ? -1 : 1;
  if (a.destination !== b.destination) return a.destination < b.destination ? -1 : 1;
  return 0;
}

const SAME = ['destination', 'type', 'key'] as const;

function matches(letter: DeadLetter, filter: DeadLetterFilter): boolean {
  const { eventIds, diedAfter, diedBefore } = filter;
  return (
    (eventIds?.includes(letter.eventId) ?? true) &&
    SAME.every((field) => filter[field] === undefined || filter[field] === letter[field]) &&
    (diedAfter === undefined || letter.diedAt > diedAfter) &&
    (diedBefore === undefined || letter.diedAt < diedBefore)
  );
}

function keyOf({ shard, destination, key }: PlacedKey): string {
  return JSON.stringify([shard, destination, key]);
}
