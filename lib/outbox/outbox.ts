import { makeEvent, type EventRules } from '../events/event-factory.js';
import type { OutboxEventInput, OutboxRecord } from '../events/outbox-event.js';
import type { Tracing } from '../runtime/tracing.js';
import { TransactionRequiredError } from '../saga/state/errors.js';
import { eventError } from '../saga/state/event-error.js';
import type { OutboxStorage } from './outbox-storage.js';

export interface OutboxSettings<Tx> {
  readonly storage: OutboxStorage<Tx>;
  readonly rules: EventRules;
  /** Ambient transaction of another library. */
  readonly resolveManager: (() => Tx | undefined) | undefined;
  readonly tracing?: Tracing;
}

type Events = OutboxEventInput | readonly OutboxEventInput[];

/** Writes events in the transaction of the business data: they are relayed if and only if it commits. */
export class Outbox<Tx = unknown> {
  constructor(private readonly settings: OutboxSettings<Tx>) {}

  /**
   * Writes one event or several into the caller's open transaction: the manager (or query runner) that is given, else
   * that of `outbox.transaction` or of the transactional step around the call, else what `resolveManager` finds.
   * @returns the event ids
   * @throws TransactionRequiredError when there is no open transaction; SagaInputError, PayloadTooLargeError and
   * UnknownDestinationError before anything is written
   */
  async publish(manager: Tx, events: Events): Promise<readonly string[]>;
  async publish(events: Events): Promise<readonly string[]>;
  async publish(...args: readonly [Events] | readonly [Tx, Events]): Promise<readonly string[]> {
    const [events, explicit] = args.length === 1 ? [args[0]] : [args[1], args[0]];
    const tx = args.length === 2 ? explicit : this.ambient();
    if (tx === undefined || tx === null) throw new TransactionRequiredError(NO_TRANSACTION);
    const made = [events].flat().map((event) => this.make(event));
    await this.settings.storage.insert(
      tx,
      made.flatMap(({ records }) => records),
    );
    return made.map(({ id }) => id);
  }

  /** Runs the work in a transaction of the application's DataSource; `publish(event)` within it needs no manager. */
  transaction<T>(work: (manager: Tx) => Promise<T>): Promise<T> {
    return this.settings.storage.transaction(work);
  }

  private ambient(): Tx | undefined {
    return this.settings.storage.currentTransaction() ?? this.settings.resolveManager?.();
  }

  private make(event: OutboxEventInput): { readonly id: string; readonly records: readonly OutboxRecord[] } {
    const headers = this.settings.tracing?.active() ?? {};
    const made = makeEvent(event, this.settings.rules, { headers });
    if ('fault' in made) throw eventError(event.type, made.fault);
    return made;
  }
}

const NO_TRANSACTION =
  'outbox.publish needs the open transaction of the business data: pass its EntityManager first, ' +
  'or call it inside outbox.transaction(...), or set the option resolveManager';
