import type { Telemetry } from '../runtime/telemetry.js';
import type { Tracing } from '../runtime/tracing.js';
import { errorText } from '../runtime/error-text.js';
import { SagaInputError } from '../saga/state/errors.js';
import type { InboxMessage, InboxResult, InboxStorage } from './inbox-storage.js';

export interface ConsumerInboxSettings<Tx> {
  readonly storage: InboxStorage<Tx>;
  readonly windowMs: number;
  readonly onExpired: 'dead-letter' | 'process';
  readonly maxDeliveries: number;
  readonly telemetry: Telemetry;
  readonly tracing?: Tracing;
}

/** A message by more than its id. */
export interface InboxMessageRef {
  readonly id: string;
  /**
   * When it was written, by the clock of its producer's database: the header `stampedAt`, else `occurredAt`. Default: the time
   * in a UUIDv7; without either the message has no age.
   */
  readonly stamp?: Date | undefined;
  /** Those it came with: they say which trace it belongs to. Default: the one that is active. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** What becomes of it when it is older than the window. Default: the option `inbox.onExpired`. */
  readonly onExpired?: 'dead-letter' | 'process' | undefined;
}

/** The name of a consumer and the id of a message are keys of a table. */
const MAX_TEXT = 255;
const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

/**
 * Lets a message take effect once for each consumer, however often it is delivered: noting it and what the handler writes
 * through the manager are one transaction.
 */
export class ConsumerInbox<Tx = unknown> {
  private readonly running = new Set<Promise<unknown>>();

  constructor(private readonly settings: ConsumerInboxSettings<Tx>) {}

  /**
   * Runs the work unless the consumer has processed the message before. What the work throws is thrown on, and the message
   * counts as not processed. `outbox.publish(event)` within the work needs no manager.
   * @param consumer from 1 to 255 characters; several consumers of one message do not disturb each other
   * @throws SagaInputError for a consumer or an id that is no such text
   */
  async process<T>(
    message: string | InboxMessageRef,
    consumer: string,
    work: (manager: Tx) => Promise<T>,
  ): Promise<InboxResult<T>> {
    const noted = this.note(message, consumer);
    const { storage, windowMs } = this.settings;
    const own = typeof message === 'string' ? undefined : message.onExpired;
    const onExpired = own ?? this.settings.onExpired;
    const rules = { windowMs, processesExpired: onExpired === 'process' };
    const processing = this.traced(message, noted, () => storage.process(noted, rules, work));
    this.running.add(processing);
    try {
      const result = await processing;
      this.tell(noted, result.status);
      return result;
    } catch (error) {
      this.tell(noted, 'failed', errorText(error));
      throw error;
    } finally {
      this.running.delete(processing);
    }
  }

  private traced<T>(
    message: string | InboxMessageRef,
    { consumer, messageId }: InboxMessage,
    work: () => Promise<T>,
  ): Promise<T> {
    const { tracing } = this.settings;
    if (!tracing?.on) return work();
    const parent = typeof message === 'string' ? undefined : message.headers;
    const attributes = { 'messaging.consumer.group.name': consumer, 'messaging.message.id': messageId };
    return tracing.run({ name: 'inbox process', kind: 'consumer', parent, attributes }, work);
  }

  /** @internal Resolves when no message is being processed: before that the database must not be closed. */
  async settled(): Promise<void> {
    // What runs may have let more begin.
    while (this.running.size > 0) await Promise.allSettled(this.running);
  }

  /** That of the transaction of `process` around the call. */
  get manager(): Tx | undefined {
    return this.settings.storage.currentTransaction();
  }

  /** Deliveries of a message that may fail, unless its consumer says otherwise. */
  get maxDeliveries(): number {
    return this.settings.maxDeliveries;
  }

  /** Counts a delivery that failed. @returns how many did, with this one */
  async failures(message: string | InboxMessageRef, consumer: string, error: unknown): Promise<number> {
    return this.settings.storage.fail(this.note(message, consumer), errorText(error));
  }

  private note(message: string | InboxMessageRef, consumer: string): InboxMessage {
    const { id: messageId, stamp } =
      typeof message === 'string' ? { id: message, stamp: undefined } : message;
    checkText('consumer', consumer);
    checkText('message id', messageId);
    if (stamp !== undefined && Number.isNaN(stamp.getTime()))
      throw new SagaInputError('stamp: expected a valid Date');
    // A Date reaches further back than PostgreSQL does.
    const written = stamp ? new Date(Math.max(0, stamp.getTime())) : timeOf(messageId);
    return { consumer, messageId, stamp: written };
  }

  private tell({ consumer, messageId }: InboxMessage, status: string, message = ''): void {
    const { telemetry } = this.settings;
    const said = () => ({ consumer, messageId });
    if (status === 'processed') telemetry.emit('inbox.processed', said);
    if (status === 'duplicate') telemetry.emit('inbox.duplicate', said);
    if (status === 'expired') telemetry.emit('inbox.expired', said);
    if (status === 'failed') telemetry.emit('inbox.failed', () => ({ ...said(), message }));
  }
}

/** Whether it can be the name of a consumer or the id of a message. */
export function isInboxKey(text: unknown): text is string {
  return typeof text === 'string' && text !== '' && text.length <= MAX_TEXT && !text.includes('\u0000');
}

function checkText(what: string, text: unknown): void {
  if (!isInboxKey(text)) throw new SagaInputError(`${what}: expected a text of 1 to ${MAX_TEXT} characters`);
}

/** RFC 9562 §5.7: the first 48 bits are milliseconds since the epoch. */
function timeOf(id: string): Date | undefined {
  return UUID_V7.test(id) ? new Date(Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)) : undefined;
}
