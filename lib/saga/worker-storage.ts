import type { SagaVersion } from './state/saga-version.js';

/** A process that runs sagas or relays events. */
export interface WorkerBeat {
  readonly id: string;
  /** Whether it relays events, and so takes a share of the shards. */
  readonly relays: boolean;
  /** Milliseconds without a heartbeat after which it counts as dead. */
  readonly leaseMs: number;
  /** Which sagas it can run. Default: none. */
  readonly definitions?: readonly SagaVersion[];
}

/**
 * Who runs sagas and relays events. A worker is known by its heartbeats; where the storage can see the death of its
 * process, it need not wait for the lease. What is *not* here: what becomes of the sagas of a dead worker (claims), and
 * of its shards.
 */
export abstract class WorkerStorage {
  /**
   * Says that a worker is alive; makes it known when it is not.
   * @returns false when it was declared dead: what it owned may be others' by now, and this id does not come back
   */
  abstract heartbeat(worker: WorkerBeat): Promise<boolean>;

  /**
   * Looks for workers that have died and declares them dead, before anybody takes what they own. Called several times a
   * second by every worker; one of them at a time looks.
   * @returns every worker that is dead and not forgotten
   */
  abstract findDead(): Promise<readonly string[]>;

  /** Takes no share of the shards any more. @returns false, and changes nothing, when no other living worker relays */
  abstract stepAside(workerId: string): Promise<boolean>;

  /** The living worker that was known first: one that may speak for all. */
  abstract first(): Promise<string | undefined>;

  /** Says that a worker has ended: what it still owns is free at once. Forgets those that were not heard of for a day. */
  abstract retire(workerId: string): Promise<void>;

  /** How the death of a process is noticed, for the start-up line; undefined when only its lease tells. */
  abstract get sight(): string | undefined;
}
