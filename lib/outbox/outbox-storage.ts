import type { NewAudit } from '../saga/state/audit.js';
import type { OutboxRecord } from '../events/outbox-event.js';

/** An event waiting in the outbox. */
export interface PendingEvent extends OutboxRecord {
  /** Position in the outbox; grows, and never leaves the database's side of the relay. */
  readonly id: bigint;
  /** When it was written, by the clock of the storage: milliseconds since the epoch. */
  readonly createdMs: number;
  /** From when its age counts for consumers, where that is not when it was written. */
  readonly stampedMs?: number | null;
  /** Bytes of a payload that was too large to be read with its batch: `loadPayloads` reads it. */
  readonly absentBytes?: number | null;
}

/** What a snapshot of the database could not see yet: where rows may still appear behind the position. */
export interface ReadSnapshot {
  /** First transaction id that was not yet completed or assigned. */
  readonly xmax: string;
  /** Transactions below it that were in progress. */
  readonly inProgress: readonly string[];
}

export interface ReadRequest {
  /** Shards to read, each with the highest id already read of it; zero reads all that is pending. */
  readonly positions: ReadonlyMap<number, bigint>;
  /** Snapshot of the previous read on this reader; undefined on the first. */
  readonly previous: ReadSnapshot | undefined;
  /** Of each shard, for each of the three parts. */
  readonly limits: ReadonlyMap<number, number>;
  /** A shard that was read before is read from its lowest pending id again. */
  readonly fromTheStart?: boolean;
}

export interface ReadBatch {
  /** In the order of shard and id. */
  readonly events: readonly PendingEvent[];
  readonly snapshot: ReadSnapshot;
}

/** Reads pending events on one connection. A snapshot means nothing on another one: after a fault open a new reader. */
export interface OutboxReader {
  /**
   * One snapshot, three parts per shard: rows above the position; rows at or below it whose transaction was in
   * progress in the previous snapshot; rows at or below it whose transaction began after that snapshot.
   */
  read(request: ReadRequest): Promise<ReadBatch>;
  close(): Promise<void>;
}

/** How much there is to do; what nobody waits for is left out. */
export interface OutboxNumbers {
  /** Pending events by destination, all together at most 100,000: then it is that or more. */
  readonly pending: ReadonlyMap<string, number>;
  /** Of the oldest pending event by destination, in milliseconds. */
  readonly oldestAgeMs: ReadonlyMap<string, number>;
  /** Pending events by shard, counted as far as `pending` is. */
  readonly lag: ReadonlyMap<number, number>;
  /** Events in the side table by destination: failed, behind one that failed, or for later. At most 100,000. */
  readonly retrying: ReadonlyMap<string, number>;
  /** Dead letters by destination, parked ones with them. At most 100,000. */
  readonly dead: ReadonlyMap<string, number>;
}

/** Which published events; what is left out does not matter. */
export interface SentFilter {
  readonly eventIds?: readonly string[] | undefined;
  readonly destination?: string | undefined;
  readonly type?: string | undefined;
  readonly key?: string | undefined;
  readonly sentAfter?: Date | undefined;
  readonly sentBefore?: Date | undefined;
}

/**
 * Where events wait. The table holds what is pending and nothing else: a published event is removed. What is *not*
 * here: talking to brokers, deciding what to publish next, retries (the worker does).
 * Implementations pass the outbox storage contract.
 */
export abstract class OutboxStorage<Tx = unknown> {
  /** Writes events in the caller's transaction. @throws TransactionRequiredError when it is not open */
  abstract insert(tx: Tx, events: readonly OutboxRecord[]): Promise<void>;

  /** Opens a transaction that `currentTransaction` finds while the work runs. */
  abstract transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>;

  /** The transaction around the caller, opened by `transaction` or by a transactional step. */
  abstract currentTransaction(): Tx | undefined;

  /**
   * Takes this worker's fair share of the shards and gives surplus ones back; dead workers hold nothing.
   * @returns every shard it owns now
   */
  abstract leaseShards(workerId: string): Promise<readonly number[]>;

  /** Gives every shard of the worker back. */
  abstract releaseShards(workerId: string): Promise<void>;

  abstract openReader(): Promise<OutboxReader>;

  /** With the payloads that were too large to be read with their batch; without events that are not pending any more. */
  abstract loadPayloads(events: readonly PendingEvent[]): Promise<readonly PendingEvent[]>;

  /** Removes published events, and keeps them elsewhere for as long as is wanted. Removing one twice does nothing. */
  abstract remove(events: readonly PendingEvent[]): Promise<void>;

  /** Forgets published events that were kept long enough. */
  abstract forgetSent(): Promise<void>;

  /** Puts published events that are kept into the outbox again, under their ids, behind what is pending; noted in the audit as `requeue` is. @returns how many */
  abstract republish(filter: SentFilter, audit: NewAudit): Promise<number>;

  /** Costs about as much as reading what it counts: at most 100,000 rows. */
  abstract numbers(): Promise<OutboxNumbers>;
}
