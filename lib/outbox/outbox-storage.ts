import type { OutboxRecord } from '../events/outbox-event.js';

/** An event waiting in the outbox. */
export interface PendingEvent extends OutboxRecord {
  /** Position in the outbox; grows, and never leaves the database's side of the relay. */
  readonly id: bigint;
  /** When it was written, by the clock of the storage: milliseconds since the epoch. */
  readonly createdMs: number;
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
  /** Per shard, and for each of the three parts. */
  readonly limit: number;
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

  /** Removes published events. Removing one twice does nothing. */
  abstract remove(events: readonly PendingEvent[]): Promise<void>;
}
