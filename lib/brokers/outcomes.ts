import type { PublishOutcome } from '../events/publish.js';

/** Of a batch that is under way: undefined for what is not known yet. */
export type OpenOutcomes = (PublishOutcome | undefined)[];

export const OK: PublishOutcome = Object.freeze({ status: 'ok' });
export const TIMED_OUT = retryable('not confirmed within the publish time-out');

export function retryable(reason: string): PublishOutcome {
  return { status: 'retryable', reason };
}

/** @param reason one of the documented reasons of dead letters */
export function rejected(
  reason: 'unroutable' | 'too_large' | 'unknown_topic' | 'unauthorised',
): PublishOutcome {
  return { status: 'rejected', reason };
}

/** What the work ends with, or undefined when the signal aborts first; then nobody is told what becomes of it. */
export async function beforeAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  if (signal.aborted) {
    work.catch(() => undefined);
    return undefined;
  }
  let give: () => void = () => undefined;
  const aborted = new Promise<undefined>((resolve) => (give = () => resolve(undefined)));
  signal.addEventListener('abort', give, { once: true });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', give);
    work.catch(() => undefined);
  }
}
