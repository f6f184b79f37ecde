import {
  IllegalTransitionError,
  PayloadTooLargeError,
  SagaInputError,
  SagaNotCancellableError,
  SagaNotFoundError,
  SchemaMismatchError,
} from '../saga/state/errors.js';
import { UsageError } from './usage.error.js';

type ErrorClass = abstract new (...args: never[]) => Error;

/** What the process ends with; scripts may rely on it. */
export const EXIT_CODES: Readonly<
  Record<number, { readonly help: string; readonly of: readonly ErrorClass[] }>
> = {
  0: { help: 'done', of: [] },
  1: { help: 'failed, such as a database that cannot be reached', of: [] },
  2: {
    help: 'called the wrong way; nothing was done',
    of: [UsageError, SagaInputError, PayloadTooLargeError],
  },
  3: { help: 'there is no such saga', of: [SagaNotFoundError] },
  4: {
    help: 'the state of the saga does not allow it',
    of: [IllegalTransitionError, SagaNotCancellableError],
  },
  5: { help: 'the tables are not those of this version', of: [SchemaMismatchError] },
};

export function exitCodeOf(error: unknown): number {
  const found = Object.entries(EXIT_CODES).find(([, { of }]) => of.some((type) => error instanceof type));
  return found ? Number(found[0]) : 1;
}
