import type { Clock } from '../../runtime/clock.js';
import type { StepDefinition } from '../definition/saga-definition.js';
import type { ClaimedSaga } from '../saga-storage.js';
import { running } from './decisions.js';
import { stateOf, type SagaState } from './saga-state.js';

/** An attempt may begin as late as this part of the lease after the last heartbeat (see WorkerLease). */
const LATEST_START = 0.8;

/**
 * Actions of processes that were lost: they may still be under way, so their undo waits until their time is up. It is
 * counted from when their process was last heard of; where that is not known, from the claim.
 */
export class LostActions {
  private readonly claimedAt: number;
  /** Cut off by the owner before this one; what earlier owners lost was cut off longer ago. */
  private readonly recent: ReadonlySet<string>;
  private readonly earlier: ReadonlySet<string>;

  constructor(
    private readonly saga: ClaimedSaga,
    claimed: SagaState,
    private readonly settings: { readonly clock: Clock; readonly leaseMs: number },
  ) {
    this.claimedAt = settings.clock.monotonic();
    const lost = Object.keys(claimed.steps).filter((name) => stateOf(claimed, name).interrupted);
    this.earlier = new Set(lost);
    this.recent = new Set(saga.silentMs === undefined ? [] : running(claimed));
  }

  /** Milliseconds that the undo of a step has to wait; 0 for one that nobody lost. */
  waitMs({ name, transactional, timeout }: StepDefinition, grace: number): number {
    if (transactional || (!this.recent.has(name) && !this.earlier.has(name))) return 0;
    const { clock, leaseMs } = this.settings;
    const silent = this.recent.has(name) ? (this.saga.silentMs ?? 0) : 0;
    const since = silent + clock.monotonic() - this.claimedAt;
    return Math.max(0, timeout + grace + LATEST_START * leaseMs - since);
  }
}
