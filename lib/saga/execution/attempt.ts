import type { Clock } from '../../runtime/clock.js';
import { StepTimeoutError } from '../state/errors.js';

export interface AttemptLimits {
  /** Milliseconds until the attempt is aborted. */
  readonly timeoutMs: number;
  /** Milliseconds that an aborted handler may take to settle. */
  readonly graceMs: number;
  /** Named in the error of a time-out. */
  readonly place: string;
  /** Aborts the attempt from outside. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
}

/**
 * Runs a handler once, within its time. At the time-out, or when the outer signal aborts, the handler's own signal
 * aborts and it gets the grace to settle; a success within the grace counts.
 * @throws what the handler throws, or the reason of the abort when it does not settle in time
 */
export async function attemptOnce<T>(
  handler: (signal: AbortSignal) => Promise<T>,
  limits: AttemptLimits,
): Promise<T> {
  limits.signal.throwIfAborted();
  const own = new AbortController();
  const settled = new AbortController();
  const abort = () => own.abort(limits.signal.reason);
  limits.signal.addEventListener('abort', abort, { once: true });
  const work = handler(own.signal).finally(() => settled.abort());
  try {
    return await Promise.race([work, expiry(own, settled.signal, limits)]);
  } finally {
    work.catch(() => undefined);
    settled.abort();
    limits.signal.removeEventListener('abort', abort);
  }
}

/** Rejects when the handler has neither settled in its time nor in the grace after the abort; else stays pending. */
async function expiry(own: AbortController, settled: AbortSignal, limits: AttemptLimits): Promise<never> {
  const { clock, timeoutMs, graceMs, place } = limits;
  await clock.delay(timeoutMs, AbortSignal.any([own.signal, settled]));
  if (!settled.aborted) {
    if (!own.signal.aborted) own.abort(new StepTimeoutError(`${place} did not end within ${timeoutMs} ms`));
    await clock.delay(graceMs, settled);
  }
  if (!settled.aborted) throw own.signal.reason;
  return new Promise<never>(() => undefined);
}
