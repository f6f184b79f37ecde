import { show } from '../runtime/readers.js';
import { SagaInputError } from '../saga/state/errors.js';

const DEFAULT = 50;
/** Rows of one list, and ids that one filter may name: what was listed can be named. */
export const MAX_LISTED = 500;

/** How many rows of a list. @throws SagaInputError */
export function limitOf(given: number | undefined): number {
  const limit: unknown = given ?? DEFAULT;
  if (typeof limit === 'number' && Number.isInteger(limit) && limit >= 1 && limit <= MAX_LISTED) return limit;
  throw new SagaInputError(`limit: expected a whole number from 1 to ${MAX_LISTED}, got ${show(limit)}`);
}
