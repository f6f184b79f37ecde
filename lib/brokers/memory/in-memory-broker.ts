import type { PublishItem, PublishOutcome, PublishOutcomes } from '../../events/publish.js';
import { shardOf } from '../../events/shard.js';
import { errorText } from '../../runtime/error-text.js';
import { groupBy } from '../../runtime/group-by.js';
import { MessageBroker } from '../message-broker.js';

/** Gets every event; resolves when its handlers are done, rejects when one failed. */
export type InMemorySubscriber = (item: PublishItem) => Promise<void>;

/**
 * The broker of development and tests: hands events to the subscribers of this process. Events of one key go one after
 * the other; those of different shards at the same time, so that one slow handler does not keep back everything.
 * `ok` means that every handler was done with it. When a handler fails, the event is `retryable`: it comes again, to every
 * subscriber, and later events of its key wait behind it. Until a subscriber is there the broker counts as down.
 */
export class InMemoryBroker extends MessageBroker {
  readonly kind = 'memory';
  private readonly subscribers = new Set<InMemorySubscriber>();

  /** @returns a function that ends the subscription */
  subscribe(subscriber: InMemorySubscriber): () => void {
    this.subscribers.add(subscriber);
    return () => this.subscribers.delete(subscriber);
  }

  connect(): Promise<void> {
    return Promise.resolve();
  }

  async publish(batch: readonly PublishItem[], signal: AbortSignal): Promise<PublishOutcomes> {
    const outcomes = new Map<PublishItem, PublishOutcome>();
    const lanes = groupBy(batch, ({ key }) => shardOf(key));
    // One listener for all lanes.
    const limit = { signal, expired: aborted(signal) };
    try {
      await Promise.all([...lanes.values()].map((lane) => this.deliverLane(lane, limit, outcomes)));
    } finally {
      limit.expired.forget();
    }
    return batch.map((item) => outcomes.get(item));
  }

  ping(): Promise<void> {
    return this.subscribers.size > 0 ? Promise.resolve() : Promise.reject(new Error(NOBODY));
  }

  close(): Promise<void> {
    this.subscribers.clear();
    return Promise.resolve();
  }

  /** Events of one lane go one after the other; what a failed one leaves behind of its key waits for it. */
  private async deliverLane(
    lane: readonly PublishItem[],
    limit: Limit,
    outcomes: Map<PublishItem, PublishOutcome>,
  ): Promise<void> {
    const failedKeys = new Set<string>();
    for (const item of lane) {
      // What has not had its turn by then has had no attempt.
      if (limit.signal.aborted) return;
      const outcome = failedKeys.has(item.key) ? BEHIND : await this.deliver(item, limit);
      if (outcome.status !== 'ok') failedKeys.add(item.key);
      outcomes.set(item, outcome);
    }
  }

  private async deliver(item: PublishItem, { expired }: Limit): Promise<PublishOutcome> {
    if (this.subscribers.size === 0) return { status: 'retryable', reason: NOBODY };
    try {
      const ended = await Promise.race([this.toAll(item), expired.promise]);
      return ended ? { status: 'ok' } : { status: 'retryable', reason: 'its handler took too long' };
    } catch (error) {
      return { status: 'retryable', reason: `a handler failed: ${errorText(error)}` };
    }
  }

  private async toAll(item: PublishItem): Promise<true> {
    for (const subscriber of this.subscribers) await subscriber(item);
    return true;
  }
}

const NOBODY = 'no subscriber yet';
const BEHIND: PublishOutcome = {
  status: 'retryable',
  reason: 'an earlier event of its key was not delivered',
};

/** The time-out of one batch. */
interface Limit {
  readonly signal: AbortSignal;
  readonly expired: Expiry;
}

interface Expiry {
  /** Resolves to false when the signal aborts. */
  readonly promise: Promise<false>;
  forget(): void;
}

/** So that one slow handler does not keep back what is known of the others. */
function aborted(signal: AbortSignal): Expiry {
  let tell: () => void = () => undefined;
  const promise = new Promise<false>((resolve) => {
    // A handler that ends in the same moment has ended.
    tell = () => setImmediate(resolve, false);
  });
  signal.addEventListener('abort', tell, { once: true });
  return { promise, forget: () => signal.removeEventListener('abort', tell) };
}
