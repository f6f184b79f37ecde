import type { Clock } from '../../runtime/clock.js';
import type { StepDefinition } from '../definition/saga-definition.js';
import type { ClaimedSaga } from '../saga-storage.js';
import { stateOf, type SagaState } from './saga-state.js';

/** An attempt may begin as late as this part of the lease after the last heartbeat (see WorkerLease). */
const LATEST_START = 0.8;

/** Actions of processes that were lost: they may still be under way, so their undo waits until their time is up. */
export class LostActions {
  private readonly claimedAt: number;

  constructor(
    private readonly saga: ClaimedSaga,
    /** As it was claimed, before this owner noted what the last one lost. */
    private readonly claimed: SagaState,
    private readonly settings: { readonly clock: Clock; readonly leaseMs: number },
  ) {
    this.claimedAt = settings.clock.monotonic();
  }

  /** Milliseconds that the undo of a lost action has to wait. */
  waitMs({ name, timeout }: StepDefinition, grace: number): number {
    const { clock, leaseMs } = this.settings;
    const since = this.silentMs(name) + clock.monotonic() - this.claimedAt;
    return Math.max(0, timeout + grace + LATEST_START * leaseMs - since);
  }

  /**
   * How long the process that lost the action had been silent at the claim. Not known of owners before the last one,
   * nor of one that has left no trace: then its time is counted from the claim.
   */
  private silentMs(name: string): number {
    if (stateOf(this.claimed, name).interrupted) return 0;
    return this.saga.silentMs ?? 0;
  }
}
