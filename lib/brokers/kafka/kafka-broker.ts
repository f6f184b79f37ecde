import type { PublishItem, PublishOutcomes } from '../../events/publish.js';
import { groupBy } from '../../runtime/group-by.js';
import { Link } from '../link.js';
import { MessageBroker } from '../message-broker.js';
import { beforeAbort, OK, retryable, untold, type OpenOutcomes } from '../outcomes.js';
import { askKafka, connectKafka } from './kafka-connect.js';
import { answerOf, isStarved, rejectionOf, TOO_LARGE, unavailable } from './kafka-errors.js';
import { kafkaMessage, type KafkaMessage } from './kafka-message.js';
import type { KafkaSession } from './kafka-session.js';
import { resolveKafkaOptions, type KafkaBrokerOptions, type ResolvedKafkaOptions } from './kafka-options.js';

/** A cluster refuses record batches above `max.message.bytes`, by default 1,048,588: together they must not get there. */
const MAX_REQUEST_BYTES = 1_000_000;

/**
 * Publishes to topics of Apache Kafka, one for each event type; the key is the event's. `ok` means that all in-sync replicas
 * have the record (`acks: all`). The producer is idempotent: what kafkajs repeats by itself comes once. Topics are not created.
 * Needs the package `kafkajs`.
 */
export class KafkaBroker extends MessageBroker {
  readonly kind = 'kafka';
  private readonly options: ResolvedKafkaOptions;
  private readonly link: Link<KafkaSession>;
  /** Why the cluster took nothing last time although it answers. */
  private starved: string | undefined;

  /** @throws SagazOptionsError */
  constructor(options: KafkaBrokerOptions) {
    super();
    this.options = resolveKafkaOptions(options);
    this.link = new Link({
      open: () => connectKafka(this.options),
      end: (session) => session.end(),
    });
  }

  /** @throws BrokerUnavailableError MissingPeerError */
  async connect(): Promise<void> {
    await this.link.get();
  }

  async publish(batch: readonly PublishItem[], signal: AbortSignal): Promise<PublishOutcomes> {
    const outcomes: OpenOutcomes = batch.map(() => undefined);
    const { topicPrefix, envelope } = this.options;
    const messages = batch.map((item, index) => ({
      index,
      ...kafkaMessage(item, `${topicPrefix}${item.type}`, envelope),
    }));
    try {
      for (const request of requestsOf(messages)) await this.send(request, { outcomes, signal });
    } catch (error) {
      if (untold(outcomes)) throw error;
    }
    return outcomes;
  }

  /** Resolves when the cluster answers, and did not lack replicas the last time. @throws BrokerUnavailableError */
  async ping(): Promise<void> {
    await this.link.get();
    await askKafka(this.options);
    if (this.starved !== undefined) throw unavailable(this.options, this.starved);
  }

  async close(): Promise<void> {
    await this.link.close();
  }

  /** @throws BrokerUnavailableError when the cluster cannot be reached */
  private async send(messages: readonly KafkaMessage[], sending: Sending): Promise<void> {
    const session = await beforeAbort(this.link.get(), sending.signal);
    if (!session) return;
    try {
      if (!(await beforeAbort(session.send(messages), sending.signal))) {
        // It may still be on its way: only another producer cannot be confused with it.
        this.link.drop(session);
        return;
      }
    } catch (error) {
      this.link.drop(session);
      return this.sendParts(messages, error, sending);
    }
    this.starved = undefined;
    for (const { index } of messages) sending.outcomes[index] = OK;
  }

  /** kafkajs tells of a request that failed, not of which part of it: that is found by sending less. */
  private async sendParts(
    messages: readonly KafkaMessage[],
    error: unknown,
    sending: Sending,
  ): Promise<void> {
    const answer = answerOf(error);
    if (answer === undefined) throw unavailable(this.options, error);
    const topics = [...groupBy(messages, ({ topic }) => topic).values()];
    const rejection = rejectionOf(answer);
    if (topics.length > 1) {
      for (const part of topics) await this.send(part, sending);
    } else if (rejection === TOO_LARGE && messages.length > 1) {
      const half = messages.length >> 1;
      await this.send(messages.slice(0, half), sending);
      await this.send(messages.slice(half), sending);
    } else if (isStarved(answer)) {
      // No event's fault: they come again.
      this.starved = answer;
    } else {
      const outcome = rejection ?? retryable(unavailable(this.options, error).message);
      for (const { index } of messages) sending.outcomes[index] = outcome;
    }
  }
}

/** What a batch has come to. */
interface Sending {
  readonly outcomes: OpenOutcomes;
  readonly signal: AbortSignal;
}

/** The messages in their order, in as few requests as none of which is too large. */
function requestsOf(messages: readonly KafkaMessage[]): KafkaMessage[][] {
  const requests: KafkaMessage[][] = [];
  let room = 0;
  for (const message of messages) {
    if (message.bytes > room) {
      requests.push([]);
      room = MAX_REQUEST_BYTES;
    }
    requests.at(-1)?.push(message);
    room -= message.bytes;
  }
  return requests;
}
