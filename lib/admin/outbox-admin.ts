import type { DeadLetter, DeadLetterFilter, RetryStorage } from '../outbox/retry-storage.js';
import { SagaInputError } from '../saga/state/errors.js';

export interface DeadLetterQuery extends DeadLetterFilter {
  /** From 1 to 500. Default 50. */
  readonly limit?: number | undefined;
}

const MAX_LIMIT = 500;

/** Events that gave up: for operators' pages and scripts, in every process. */
export class OutboxAdmin {
  constructor(private readonly storage: RetryStorage) {}

  /** The latest first. @throws SagaInputError for a limit out of its range */
  deadLetters({ limit = 50, ...filter }: DeadLetterQuery = {}): Promise<readonly DeadLetter[]> {
    if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT)
      return Promise.reject(
        new SagaInputError(`limit: expected a whole number from 1 to ${MAX_LIMIT}, got ${limit}`),
      );
    return this.storage.deadLetters(filter, limit);
  }

  /**
   * Publishes dead letters again, under the same event ids, so that consumers with an inbox take them once. They have lost
   * their place in the order of their keys.
   * @returns how many
   * @throws SagaInputError for a filter that says nothing: name what you mean
   */
  requeue(filter: DeadLetterFilter): Promise<number> {
    return says(filter) ? this.storage.requeue(filter) : Promise.reject(nothingSaid('requeue'));
  }

  /** Forgets dead letters for good. @returns how many @throws SagaInputError for a filter that says nothing */
  discard(filter: DeadLetterFilter): Promise<number> {
    return says(filter) ? this.storage.discard(filter) : Promise.reject(nothingSaid('discard'));
  }
}

function says(filter: DeadLetterFilter): boolean {
  return Object.values(filter).some((value) => value !== undefined);
}

function nothingSaid(what: string): SagaInputError {
  return new SagaInputError(`${what}: name eventIds, a destination, a type, a key or a time`);
}
