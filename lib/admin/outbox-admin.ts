import type { OutboxNumbers, OutboxStorage, SentFilter } from '../outbox/outbox-storage.js';
import type { DeadLetter, DeadLetterFilter, DeadLetterView, RetryStorage } from '../outbox/retry-storage.js';
import { cursorOf, placeOf } from './dead-letter-cursor.js';
import { deadLetterFilter, requireSaid, sentFilter } from './event-filter.js';
import { limitOf } from './limit.js';
import { auditOf, type Operator } from './operator.js';

export interface DeadLetterQuery extends DeadLetterFilter {
  /** From 1 to 500. Default 50. */
  readonly limit?: number | undefined;
}

export interface DeadLetterListQuery extends DeadLetterQuery {
  /** Goes on behind the page whose `next` this is. */
  readonly after?: string | undefined;
}

export interface DeadLetterPage {
  /** The latest first. */
  readonly letters: readonly DeadLetterView[];
  /** For `after`; undefined on the last page. */
  readonly next: string | undefined;
}

interface Storages {
  readonly retries: RetryStorage;
  readonly outbox: Pick<OutboxStorage, 'republish' | 'numbers'>;
}

/**
 * Events that gave up, and published ones that are kept: for operators' pages and scripts, in every process. Every change
 * stands in the audit (`SagaAdmin.audit`).
 */
export class OutboxAdmin {
  constructor(private readonly storages: Storages) {}

  /**
   * The latest first, page by page, without payloads and headers, which are not read.
   * @throws SagaInputError that names the field
   */
  async listDeadLetters({ limit, after, ...filter }: DeadLetterListQuery = {}): Promise<DeadLetterPage> {
    const [wanted, most] = [deadLetterFilter(filter), limitOf(limit)];
    const slice = { limit: most + 1, after: after === undefined ? undefined : placeOf(after) };
    const found = await this.storages.retries.listDeadLetters(wanted, slice);
    const page = found.slice(0, most);
    const last = found.length > most ? page.at(-1) : undefined;
    return { letters: page.map(({ letter }) => letter), next: last && cursorOf(last.place) };
  }

  /** The latest first, with payloads and headers: of one megabyte each where events are large. @throws SagaInputError that names the field */
  async deadLetters({ limit, ...filter }: DeadLetterQuery = {}): Promise<readonly DeadLetter[]> {
    return this.storages.retries.deadLetters(deadLetterFilter(filter), limitOf(limit));
  }

  /**
   * Publishes dead letters again, under the same event ids, so that consumers with an inbox take them once. They have lost
   * their place in the order of their keys, unless their keys were parked: then later events follow them.
   * @returns how many
   * @throws SagaInputError for a filter that says nothing, or has a field that nobody knows: name what you mean
   */
  async requeue(filter: DeadLetterFilter, by: Operator = {}): Promise<number> {
    const wanted = deadLetterFilter(filter);
    return this.storages.retries.requeue(wanted, auditOf('requeue', said('requeue', wanted), by));
  }

  /**
   * Publishes events once more that were published and are kept (option `outbox.retention`), under the same event ids, in the
   * order in which they were written, behind everything that is pending. Consumers with an inbox that still know them take
   * them for repeats.
   * @returns how many; 0 where none are kept
   * @throws SagaInputError for a filter that says nothing, or has a field that nobody knows: name what you mean
   */
  async republish(filter: SentFilter, by: Operator = {}): Promise<number> {
    const wanted = sentFilter(filter);
    return this.storages.outbox.republish(wanted, auditOf('republish', said('republish', wanted), by));
  }

  /** How much there is to do. Counts up to 100,000 rows: for people, not for a gauge that is asked all the time. */
  numbers(): Promise<OutboxNumbers> {
    return this.storages.outbox.numbers();
  }

  /** Forgets dead letters for good. A parked key goes on. @returns how many @throws SagaInputError as `requeue` */
  async discard(filter: DeadLetterFilter, by: Operator = {}): Promise<number> {
    const wanted = deadLetterFilter(filter);
    return this.storages.retries.discard(wanted, auditOf('discard', said('discard', wanted), by));
  }
}

/** The filter as the audit shows it. */
function said(what: string, filter: DeadLetterFilter | SentFilter): string {
  return JSON.stringify(requireSaid(what, filter));
}
