import type { Clock } from '../../runtime/clock.js';
import type { SagaDefinition } from '../definition/saga-definition.js';
import { SagaTimeoutError } from '../state/errors.js';
import type { Fact } from './fact.js';
import { turnBack } from './saga-journal.js';

/** The limit of one whole saga: before the pivot it turns back then, after it somebody should look. */
export class SagaDeadline {
  private readonly claimedAt: number;
  private cancelTimer: (() => void) | undefined;

  constructor(
    /** Milliseconds from the claim; negative when it had passed before. */
    private readonly inMs: number,
    private readonly definition: SagaDefinition,
    private readonly clock: Clock,
  ) {
    this.claimedAt = clock.monotonic();
  }

  /** Milliseconds; negative once it has passed. */
  get leftMs(): number {
    return this.inMs - (this.clock.monotonic() - this.claimedAt);
  }

  /** The part of a rest that ends before it. Nothing is due any more at a deadline that has passed. */
  cut(restMs: number): number {
    const { leftMs } = this;
    return leftMs > 0 ? Math.min(restMs, leftMs) : restMs;
  }

  get hasPassed(): boolean {
    return this.leftMs <= 0;
  }

  /** It has passed here, and its timer is about to say so. */
  get isDue(): boolean {
    return this.cancelTimer !== undefined && this.hasPassed;
  }

  get error(): SagaTimeoutError {
    return new SagaTimeoutError(`the saga did not end within ${this.definition.options.timeout} ms`);
  }

  /** The turn back that it causes. */
  get turn(): Fact {
    return turnBack(this.error);
  }

  /** Calls back when it passes, or at once if it has passed since the claim; not if it had passed before. */
  arm(passed: () => void): void {
    if (this.inMs <= 0) return;
    this.cancelTimer = this.clock.after(Math.max(0, this.leftMs), () => {
      this.cancelTimer = undefined;
      passed();
    });
  }

  close(): void {
    this.cancelTimer?.();
  }
}
