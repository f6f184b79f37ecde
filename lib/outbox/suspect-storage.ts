import type { PendingEvent } from './outbox-storage.js';

/** A shard whose publishers died. */
export interface SuspectShard {
  readonly shard: number;
  /** Of how many owners in a row nothing was heard after they had begun to publish; the one that is about to counts. */
  readonly level: number;
}

/**
 * What is remembered of shards whose owners died while they published, so that an event that kills its publisher is
 * found. What is *not* here: what follows from it (Suspicions decides). Only the owner of a shard writes.
 */
export abstract class SuspectStorage {
  /** Those of the worker's shards of which something is to be feared. */
  abstract suspects(workerId: string): Promise<readonly SuspectShard[]>;

  /** Just before the first publish from shards: raises the level of those whose last owner died, once. */
  abstract accuse(workerId: string, shards: readonly number[]): Promise<void>;

  /** Just before an event is published alone. @returns how often in a row that was noted, this time with it */
  abstract accuseAlone(workerId: string, event: PendingEvent): Promise<number>;

  /** Nothing is to be feared of these shards any more. */
  abstract acquit(workerId: string, shards: readonly number[]): Promise<void>;
}
