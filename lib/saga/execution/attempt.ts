import type { Clock } from '../../runtime/clock.js';
import { StepTimeoutError } from '../state/errors.js';
import { AttemptSignal } from './attempt-signal.js';
import type { JobControl } from './job-control.js';

/** What an attempt failed with. */
export interface Failure {
  readonly thrown: unknown;
}

export interface AttemptLimits<T> {
  /** Milliseconds until the attempt is aborted. */
  readonly timeoutMs: number;
  /** Milliseconds that an aborted handler may take to settle. */
  readonly graceMs: number;
  /** Named in the error of a time-out. */
  readonly place: string;
  /** Aborts the attempt from outside. */
  readonly control: JobControl;
  readonly clock: Clock;
  /** Called when the handler has settled, however late. */
  readonly settled?: () => void;
  /** Called when the handler succeeds after it was given up on. */
  readonly late?: (value: T) => void;
}

/**
 * Runs a handler once, within its time. At the time-out, or when the job is aborted, the handler's signal aborts and it
 * gets the grace to settle; a success within the grace counts.
 * @throws what the handler throws, or the reason of the abort when it does not settle in time
 */
export function attemptOnce<T>(
  handler: (signal: AttemptSignal) => T | Promise<T>,
  limits: AttemptLimits<T>,
): Promise<T> {
  const { control, clock, timeoutMs, graceMs, place } = limits;
  if (control.aborted) return Promise.reject(control.aborted.reason);
  return new Promise<T>((resolve, reject) => {
    const own = new AttemptSignal();
    let over = false;
    let cancelTimer = clock.after(timeoutMs, () =>
      abort(new StepTimeoutError(`${place} did not end within ${timeoutMs} ms`)),
    );
    const abort = (reason: Error) => {
      if (own.aborted) return;
      cancelTimer();
      cancelTimer = clock.after(graceMs, () => end(() => reject(reason)));
      own.abort(reason);
    };
    const forget = control.listen(() => control.aborted && abort(control.aborted.reason));
    const end = (settle: () => void) => {
      if (over) return;
      over = true;
      cancelTimer();
      forget();
      settle();
    };
    const succeed = (value: T) => {
      limits.settled?.();
      if (over) limits.late?.(value);
      else end(() => resolve(value));
    };
    const work = begun(() => handler(own));
    if (!(work instanceof Promise)) return succeed(work);
    work.then(succeed, () => {
      limits.settled?.();
      end(() => resolve(work));
    });
  });
}

/** What it throws at once is a rejection as well; what it returns at once, and cannot be a promise, needs none. */
function begun<T>(work: () => T | Promise<T>): T | Promise<T> {
  try {
    const returned = work();
    const mayWait = typeof returned === 'object' || typeof returned === 'function';
    return mayWait ? Promise.resolve(returned) : returned;
  } catch (error) {
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- it is what the handler threw
    return Promise.reject<T>(error);
  }
}
