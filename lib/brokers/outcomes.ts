import type { PublishOutcome } from '../events/publish.js';

/** Of a batch that is under way: undefined for what the destination has not told of. */
export type OpenOutcomes = (PublishOutcome | undefined)[];

export const OK: PublishOutcome = Object.freeze({ status: 'ok' });

/** Nothing at all is known: then the reason is worth more than a list of nothing. */
export function untold(outcomes: OpenOutcomes): boolean {
  return outcomes.every((outcome) => outcome === undefined);
}

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
