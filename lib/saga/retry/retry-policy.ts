import { backOffMs } from '../../runtime/back-off.js';
import type { Duration } from '../../runtime/duration.js';
import {
  atLeast,
  callable,
  duration,
  integer,
  oneOf,
  section,
  type Place,
  type Reader,
} from '../../runtime/readers.js';
import { NonRetryableError, PayloadTooLargeError, ResultNotSerialisableError } from '../state/errors.js';

/** How often, and after which pauses, a failed step or undo is tried again. */
export interface RetryOptions {
  /** The first attempt counts. */
  maxAttempts?: number | undefined;
  /** Pause after the first failure. */
  initialInterval?: Duration | undefined;
  /** The pause grows by this factor. */
  multiplier?: number | undefined;
  /** The longest pause. */
  maxInterval?: Duration | undefined;
  /** No attempt starts later than this after the first one began. Default: no limit. */
  maxElapsed?: Duration | undefined;
  /** `full`: a random time between nothing and the pause, so that many failures do not return together. */
  jitter?: 'full' | 'none' | undefined;
  /** False means: do not repeat after this error. */
  retryIf?: ((error: unknown) => boolean) | undefined;
}

/** A number is `maxAttempts`; `false` is one attempt. */
export type Retry = RetryOptions | number | false;

export interface ResolvedRetry {
  readonly maxAttempts: number;
  readonly initialInterval: number;
  readonly multiplier: number;
  readonly maxInterval: number;
  readonly maxElapsed: number | undefined;
  readonly jitter: 'full' | 'none';
  readonly retryIf: ((error: unknown) => boolean) | undefined;
}

/** Reads the `retry` option of a module, saga, step or undo; what is left out comes from the wider one. */
export function retry(defaults: ResolvedRetry): Reader<ResolvedRetry> {
  const read = section({
    maxAttempts: integer(defaults.maxAttempts),
    initialInterval: duration(defaults.initialInterval),
    multiplier: atLeast(defaults.multiplier, 1),
    maxInterval: duration(defaults.maxInterval),
    maxElapsed: duration(),
    jitter: oneOf(['full', 'none'], defaults.jitter),
    retryIf: callable<(error: unknown) => boolean>(),
  });
  return (value: unknown, place: Place) => {
    if (value === undefined) return defaults;
    const own = read(
      value === false ? { maxAttempts: 1 } : typeof value === 'number' ? { maxAttempts: value } : value,
      place,
    );
    return {
      ...own,
      maxElapsed: own.maxElapsed ?? defaults.maxElapsed,
      retryIf: own.retryIf ?? defaults.retryIf,
    };
  };
}

/** The user's word, and results that would be the same again. */
const NEVER_AGAIN = [NonRetryableError, ResultNotSerialisableError, PayloadTooLargeError];

/** A user's predicate about an error; one that throws has not said yes. */
export function holds(predicate: (error: unknown) => boolean, error: unknown): boolean {
  try {
    return predicate(error);
  } catch {
    return false;
  }
}

/** A failed attempt, as the policy sees it. */
export interface FailedAttempt {
  /** 1 for the first. */
  readonly attempt: number;
  readonly error: unknown;
  /** Milliseconds since the first attempt began. */
  readonly elapsedMs: number;
  /** True after the pivot: the number of attempts and their time have no limit. */
  readonly unlimited: boolean;
}

/**
 * Milliseconds to wait before the next attempt (`backOffMs`), or undefined when there is none. An error's own `retryAfter`
 * (seconds) is respected when it is longer.
 */
export function nextDelay(
  policy: ResolvedRetry,
  failed: FailedAttempt,
  random: () => number = Math.random,
): number | undefined {
  if (NEVER_AGAIN.some((type) => failed.error instanceof type)) return undefined;
  if (policy.retryIf !== undefined && !holds(policy.retryIf, failed.error)) return undefined;
  const delay = Math.max(backOffMs(policy, failed.attempt, random), retryAfterMs(failed.error));
  return failed.unlimited || isWithin(policy, failed, delay) ? delay : undefined;
}

function isWithin({ maxAttempts, maxElapsed }: ResolvedRetry, failed: FailedAttempt, delay: number): boolean {
  if (failed.attempt >= maxAttempts) return false;
  return maxElapsed === undefined || failed.elapsedMs + delay <= maxElapsed;
}

function retryAfterMs(error: unknown): number {
  const seconds = (error as { retryAfter?: unknown } | null | undefined)?.retryAfter;
  return typeof seconds === 'number' && seconds > 0 && Number.isFinite(seconds) ? seconds * 1_000 : 0;
}
