import type { Clock } from '../../runtime/clock.js';
import { SHARD_COUNT } from '../../events/shard.js';
import {
  OutboxStorage,
  type OutboxNumbers,
  type OutboxReader,
  type PendingEvent,
  type ReadBatch,
  type ReadRequest,
} from '../../outbox/outbox-storage.js';
import { groupBy } from '../../runtime/group-by.js';
import { TransactionRequiredError } from '../../saga/state/errors.js';
import type { MemoryDatabase } from './memory-database.js';

const NO_TRANSACTIONS =
  'memory storage has no transactions that an event could join; publish with ctx.publish in a step, or give the application a DataSource';

/** Events of memory sagas. They come only from steps: without a database there is no transaction of business data. */
export class MemoryOutboxStorage extends OutboxStorage<undefined> {
  constructor(
    private readonly database: MemoryDatabase,
    private readonly clock: Clock,
  ) {
    super();
  }

  insert(): Promise<void> {
    return Promise.reject(new TransactionRequiredError(NO_TRANSACTIONS));
  }

  transaction<T>(): Promise<T> {
    return Promise.reject(new TransactionRequiredError(NO_TRANSACTIONS));
  }

  currentTransaction(): undefined {
    return undefined;
  }

  leaseShards(workerId: string): Promise<readonly number[]> {
    const { shardOwners, workers } = this.database;
    const now = this.clock.monotonic();
    const isLive = (id: string) => workers.get(id)?.relays === true && !this.database.isDead(id, now);
    const share = Math.ceil(SHARD_COUNT / Math.max(1, [...workers.keys()].filter(isLive).length));
    const owned = this.owned(workerId).slice(0, share);
    for (const shard of this.owned(workerId).slice(share)) shardOwners[shard] = undefined;
    for (let shard = 0; shard < SHARD_COUNT && owned.length < share; shard++) {
      const owner = shardOwners[shard];
      if (owner !== undefined && (owner === workerId || isLive(owner))) continue;
      shardOwners[shard] = workerId;
      owned.push(shard);
    }
    return Promise.resolve(owned.sort((a, b) => a - b));
  }

  releaseShards(workerId: string): Promise<void> {
    for (const shard of this.owned(workerId)) this.database.shardOwners[shard] = undefined;
    return Promise.resolve();
  }

  openReader(): Promise<OutboxReader> {
    return Promise.resolve({
      read: (request) => Promise.resolve(this.read(request)),
      close: () => Promise.resolve(),
    });
  }

  loadPayloads(events: readonly PendingEvent[]): Promise<readonly PendingEvent[]> {
    return Promise.resolve(events);
  }

  /** Nothing is kept: what memory held would be gone when somebody asks. */
  remove(events: readonly PendingEvent[]): Promise<void> {
    for (const { id } of events) this.database.events.delete(id);
    return Promise.resolve();
  }

  forgetSent(): Promise<void> {
    return Promise.resolve();
  }

  republish(): Promise<number> {
    return Promise.resolve(0);
  }

  numbers(): Promise<OutboxNumbers> {
    const { events, retries, deadLetters } = this.database;
    const pending = [...events.values()];
    const trouble = [...retries.values()];
    const parked = trouble.filter(({ parkedAt }) => parkedAt !== undefined);
    const dead = [...deadLetters.values(), ...parked];
    const now = Date.now();
    const oldest = groupBy(pending, ({ destination }) => destination);
    return Promise.resolve({
      pending: countBy(pending, ({ destination }) => destination),
      oldestAgeMs: new Map([...oldest].map(([name, [first]]) => [name, now - (first?.createdMs ?? now)])),
      lag: countBy(pending, ({ shard }) => shard),
      retrying: countBy(
        trouble.filter((it) => !parked.includes(it)),
        ({ event }) => event.destination,
      ),
      dead: countBy(dead, ({ event }) => event.destination),
    });
  }

  /** Nothing is ever late here: an event is visible as soon as it has its id. */
  private read({ positions, limits }: ReadRequest): ReadBatch {
    const taken = new Map<number, number>();
    const events = [...this.database.events.values()].filter(({ id, shard }) => {
      const position = positions.get(shard);
      const count = taken.get(shard) ?? 0;
      if (position === undefined || id <= position || count >= (limits.get(shard) ?? 0)) return false;
      taken.set(shard, count + 1);
      return true;
    });
    return { events, snapshot: { xmax: '0', inProgress: [] } };
  }

  private owned(workerId: string): number[] {
    return this.database.shardOwners.flatMap((owner, shard) => (owner === workerId ? [shard] : []));
  }
}

function countBy<T, K>(items: readonly T[], key: (item: T) => K): ReadonlyMap<K, number> {
  return new Map([...groupBy(items, key)].map(([name, group]) => [name, group.length]));
}
