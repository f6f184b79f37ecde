import { isUuid } from '../events/uuid-v7.js';
import { show } from '../runtime/readers.js';
import { SagaInputError } from '../saga/state/errors.js';
import { MAX_LISTED } from './limit.js';

/** A text to look for. No database holds the character NUL, or half of a surrogate pair. @throws SagaInputError */
export function checkText(field: string, given: unknown): void {
  if (given === undefined) return;
  if (typeof given === 'string' && given.isWellFormed() && !given.includes('\u0000')) return;
  throw new SagaInputError(`${field}: expected a text without the character NUL, got ${show(given)}`);
}

/** @throws SagaInputError that names the first wrong one, or says that there are too many */
export function checkEventIds(given: unknown): void {
  if (given === undefined) return;
  if (!Array.isArray(given)) throw new SagaInputError(`eventIds: expected ids of events, got ${show(given)}`);
  if (given.length > MAX_LISTED)
    throw new SagaInputError(`eventIds: expected at most ${MAX_LISTED} ids of events, got ${given.length}`);
  const wrong: unknown = given.find((id) => typeof id !== 'string' || !isUuid(id));
  if (wrong !== undefined) throw new SagaInputError(`eventIds: expected ids of events, got ${show(wrong)}`);
}

/** @throws SagaInputError */
export function checkDate(field: string, given: unknown): void {
  if (given === undefined || (given instanceof Date && Number.isFinite(given.getTime()))) return;
  throw new SagaInputError(`${field}: expected a Date, got ${show(given)}`);
}
