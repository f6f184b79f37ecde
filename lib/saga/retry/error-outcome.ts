import { NoEffectError } from '../state/errors.js';
import { holds } from './retry-policy.js';
import type { Outcome } from '../state/step-status.js';

const NOT_CONNECTED = new Set(['ECONNREFUSED', 'ENOTFOUND']);
const REFUSED = new Set([400, 401, 403, 404, 422, 429]);

/**
 * What an error thrown by an ordinary step tells of its effect: `failed` only when it is known that nothing happened
 * (`NoEffectError`, the step's `noEffectOn`, no connection, an HTTP answer that refuses the request), else `unknown`:
 * time-outs, 5xx, and a TypeError after the call may all come after the effect. 409 is not in the list, because an
 * earlier attempt with the same idempotency key may be running.
 */
export function outcomeOf(error: unknown, noEffectOn?: (error: unknown) => boolean): Outcome {
  if (error instanceof NoEffectError || (noEffectOn && holds(noEffectOn, error))) return 'failed';
  for (let cause = error, depth = 0; isErrorLike(cause) && depth < 5; cause = cause.cause, depth++) {
    if (NOT_CONNECTED.has(String(cause.code)) || allRefused(cause.errors)) return 'failed';
    const status = cause.status ?? cause.response?.status;
    // The error's own answer counts, not that of an error behind it.
    if (typeof status === 'number') return REFUSED.has(status) ? 'failed' : 'unknown';
  }
  return 'unknown';
}

/** Node tries every address of a host and reports an AggregateError. */
function allRefused(errors: unknown): boolean {
  if (!Array.isArray(errors) || errors.length === 0) return false;
  return errors.every((error) => isErrorLike(error) && NOT_CONNECTED.has(String(error.code)));
}

interface ErrorLike {
  readonly code?: unknown;
  readonly status?: unknown;
  readonly response?: { readonly status?: unknown } | null;
  readonly cause?: unknown;
  readonly errors?: unknown;
}

function isErrorLike(value: unknown): value is ErrorLike {
  return typeof value === 'object' && value !== null;
}
