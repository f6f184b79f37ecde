import { show } from '../runtime/readers.js';
import { SagaInputError } from '../saga/state/errors.js';

const DEFAULT = 50;
const MAX = 500;

/** How many rows of a list. @throws SagaInputError */
export function limitOf(given: number | undefined): number {
  const limit: unknown = given ?? DEFAULT;
  if (typeof limit === 'number' && Number.isInteger(limit) && limit >= 1 && limit <= MAX) return limit;
  throw new SagaInputError(`limit: expected a whole number from 1 to ${MAX}, got ${show(limit)}`);
}
