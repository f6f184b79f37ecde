import type { PublishItem, PublishOutcomes } from '../events/publish.js';

/**
 * Where the relay hands events to. A batch in, one outcome per event out; each broker's docs say what `ok` means there.
 * What is *not* here: retries, order between batches, dead letters (the relay does). Implementations pass the broker
 * contract.
 */
export abstract class MessageBroker {
  /** Named in the start-up line and in logs. */
  abstract readonly kind: string;

  /**
   * Opens the connection. Called once, before the relay starts. A `BrokerUnavailableError` that is not `refused` lets the
   * application start all the same: then `publish` and `ping` connect as soon as they can. Any other error keeps it from starting.
   */
  abstract connect(): Promise<void>;

  /**
   * Publishes in the order of the batch. @param signal aborts at the publish time-out
   * @returns what the destination told of each event. Undefined for what it did not tell of: for want of time, or because the
   * connection broke, or because it takes nothing at the moment. Such an event comes again and has used up no attempt,
   * unless it was alone in its batch
   * @throws why the destination told of none
   */
  abstract publish(batch: readonly PublishItem[], signal: AbortSignal): Promise<PublishOutcomes>;

  /** Resolves when the broker answers. */
  abstract ping(): Promise<void>;

  /** Closes the connection, where there is one. Called once, after the relay has stopped; also where it never ran. */
  abstract close(): Promise<void>;
}
