import type { OutboxNumbers, OutboxStorage, SentFilter } from '../outbox/outbox-storage.js';
import type { DeadLetter, DeadLetterFilter, RetryStorage } from '../outbox/retry-storage.js';
import { SagaInputError } from '../saga/state/errors.js';

export interface DeadLetterQuery extends DeadLetterFilter {
  /** From 1 to 500. Default 50. */
  readonly limit?: number | undefined;
}

const MAX_LIMIT = 500;

interface Storages {
  readonly retries: RetryStorage;
  readonly outbox: Pick<OutboxStorage, 'republish' | 'numbers'>;
}

/** Events that gave up, and published ones that are kept: for operators' pages and scripts, in every process. */
export class OutboxAdmin {
  constructor(private readonly storages: Storages) {}

  /** The latest first. @throws SagaInputError for a limit out of its range */
  deadLetters({ limit = 50, ...filter }: DeadLetterQuery = {}): Promise<readonly DeadLetter[]> {
    if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT)
      return Promise.reject(
        new SagaInputError(`limit: expected a whole number from 1 to ${MAX_LIMIT}, got ${limit}`),
      );
    return this.storages.retries.deadLetters(filter, limit);
  }

  /**
   * Publishes dead letters again, under the same event ids, so that consumers with an inbox take them once. They have lost
   * their place in the order of their keys, unless their keys were parked: then later events follow them.
   * @returns how many
   * @throws SagaInputError for a filter that says nothing: name what you mean
   */
  requeue(filter: DeadLetterFilter): Promise<number> {
    return says(filter) ? this.storages.retries.requeue(filter) : Promise.reject(nothingSaid('requeue'));
  }

  /**
   * Publishes events once more that were published and are kept (option `outbox.retention`), under the same event ids, in the
   * order in which they were written, behind everything that is pending. Consumers with an inbox that still know them take
   * them for repeats.
   * @returns how many; 0 where none are kept
   * @throws SagaInputError for a filter that says nothing: name what you mean
   */
  republish(filter: SentFilter): Promise<number> {
    return says(filter) ? this.storages.outbox.republish(filter) : Promise.reject(nothingSaid('republish'));
  }

  /** How much there is to do. Counts up to 100,000 rows: for people, not for a gauge that is asked all the time. */
  numbers(): Promise<OutboxNumbers> {
    return this.storages.outbox.numbers();
  }

  /** Forgets dead letters for good. A parked key goes on. @returns how many @throws SagaInputError for a filter that says nothing */
  discard(filter: DeadLetterFilter): Promise<number> {
    return says(filter) ? this.storages.retries.discard(filter) : Promise.reject(nothingSaid('discard'));
  }
}

function says(filter: DeadLetterFilter | SentFilter): boolean {
  return Object.values(filter).some((value) => value !== undefined);
}

function nothingSaid(what: string): SagaInputError {
  return new SagaInputError(`${what}: name eventIds, a destination, a type, a key or a time`);
}
