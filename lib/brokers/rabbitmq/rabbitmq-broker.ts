import type { PublishItem, PublishOutcome, PublishOutcomes } from '../../events/publish.js';
import { Link } from '../link.js';
import { MessageBroker } from '../message-broker.js';
import { beforeAbort, OK, rejected, retryable, untold, type OpenOutcomes } from '../outcomes.js';
import type { Confirm, RabbitMqChannel } from './rabbitmq-channel.js';
import { connectRabbitMq, unavailable } from './rabbitmq-connect.js';
import { MAX_ROUTING_KEY_BYTES, rabbitMqMessage, type RabbitMqMessage } from './rabbitmq-message.js';
import {
  resolveRabbitMqOptions,
  type RabbitMqBrokerOptions,
  type ResolvedRabbitMqOptions,
} from './rabbitmq-options.js';

/** Of a channel that the server closed because of one message. */
const TOO_LARGE = /message size (\d+) is larger than (?:the )?(?:configured )?max size (\d+)/i;
const NO_ACCESS = /access to topic '([^']+)'/;

/**
 * Publishes to a durable topic exchange of RabbitMQ; the routing key is the event's type. Messages are persistent.
 * `ok` means that the server has confirmed the message and some queue has it: one that no queue is bound for is `rejected`
 * as `unroutable`. Needs the package `amqplib`. A server that blocks publishers (memory, disk) pauses the relay.
 */
export class RabbitMqBroker extends MessageBroker {
  readonly kind = 'rabbitmq';
  private readonly options: ResolvedRabbitMqOptions;
  private readonly link: Link<RabbitMqChannel>;

  /** @throws SagazOptionsError */
  constructor(options: RabbitMqBrokerOptions) {
    super();
    this.options = resolveRabbitMqOptions(options);
    this.link = new Link({ open: () => connectRabbitMq(this.options), end: (channel) => channel.end() });
  }

  /** @throws BrokerUnavailableError MissingPeerError */
  async connect(): Promise<void> {
    await this.channel();
  }

  async publish(batch: readonly PublishItem[], signal: AbortSignal): Promise<PublishOutcomes> {
    const outcomes: OpenOutcomes = batch.map(() => undefined);
    const messages = batch.map((item) => rabbitMqMessage(item, this.options.envelope));
    const sending: Sending = { messages, outcomes, signal, maxBytes: Infinity };
    try {
      // A channel that the server closes because of one message leaves the others to the next one.
      while (await this.sendAll(sending));
    } catch (error) {
      if (untold(outcomes)) throw error;
    }
    return [...outcomes];
  }

  /** Resolves when the server answers and takes messages. @throws BrokerUnavailableError */
  async ping(): Promise<void> {
    const channel = await this.channel();
    if (channel.blocked !== undefined) throw this.unavailable(blockedBecause(channel.blocked));
    await channel.ask().catch((error: unknown) => {
      throw this.unavailable(error);
    });
  }

  async close(): Promise<void> {
    await this.link.close();
  }

  /** Sends what has no outcome yet. @returns whether something is left that another channel should be tried with */
  private async sendAll(sending: Sending): Promise<boolean> {
    const { signal } = sending;
    const channel = await beforeAbort(this.channel(), signal);
    if (!channel) return false;
    if (channel.blocked !== undefined) throw this.unavailable(blockedBecause(channel.blocked));
    const unconfirmed = await this.sendLeft(channel, sending);
    await channel.until(() => unconfirmed.size === 0, signal);
    const isMute = unconfirmed.size > 0 && channel.blocked === undefined;
    // What is not confirmed is sent again, on a channel that cannot take a late confirm of this time for one of that.
    if (channel.lost !== undefined || isMute) this.link.drop(channel);
    if (isMute || channel.lost === undefined) return false;
    if (blame(channel, sending) && !signal.aborted) return true;
    throw this.unavailable(channel.lost);
  }

  /** As the window allows. @returns the places of those that are not confirmed yet */
  private async sendLeft(channel: RabbitMqChannel, sending: Sending): Promise<ReadonlySet<number>> {
    const { messages, outcomes, signal, maxBytes } = sending;
    const { window } = this.options;
    const sent = new Set<number>();
    const ready = () => channel.hasRoom(window) || channel.lost !== undefined;
    for (const [index, message] of messages.entries()) {
      if (outcomes[index]) continue;
      const refusal = refusalOf(message, maxBytes);
      if (refusal) {
        outcomes[index] = refusal;
        continue;
      }
      if (!channel.hasRoom(window)) await channel.until(ready, signal);
      if (!channel.hasRoom(window)) break;
      sent.add(index);
      channel.send(message, (confirm) => {
        sent.delete(index);
        if (confirm !== 'lost') outcomes[index] = this.outcomeOf(confirm);
      });
    }
    return sent;
  }

  private outcomeOf(confirm: Confirm): PublishOutcome {
    if (confirm === 'taken') return OK;
    if (confirm === 'nacked') return retryable('the server did not take responsibility for it (nack)');
    return this.options.onUnroutable === 'drop' ? OK : rejected('unroutable');
  }

  /** The open channel, else a new one. */
  private async channel(): Promise<RabbitMqChannel> {
    const channel = await this.link.get();
    if (channel.lost === undefined) return channel;
    this.link.drop(channel);
    return this.link.get();
  }

  private unavailable(error: unknown): Error {
    return unavailable(this.options, error);
  }
}

/** One batch on its way. */
interface Sending {
  readonly messages: readonly RabbitMqMessage[];
  readonly outcomes: OpenOutcomes;
  readonly signal: AbortSignal;
  /** Largest message that the server takes, once it has refused one of this batch. */
  maxBytes: number;
}

function refusalOf({ body, routingKey }: RabbitMqMessage, maxBytes: number): PublishOutcome | undefined {
  if (body.length > maxBytes) return rejected('too_large');
  // No queue can be bound for it.
  return Buffer.byteLength(routingKey) > MAX_ROUTING_KEY_BYTES ? rejected('unroutable') : undefined;
}

/** Finds the messages because of which the server closed the channel. @returns whether there are any */
function blame({ lost = '' }: RabbitMqChannel, sending: Sending): boolean {
  const { messages, outcomes } = sending;
  const [, , max] = TOO_LARGE.exec(lost) ?? [];
  if (max !== undefined) sending.maxBytes = Number(max);
  const [, topic] = NO_ACCESS.exec(lost) ?? [];
  const isGuilty = ({ body, routingKey }: RabbitMqMessage) =>
    (max !== undefined && body.length > sending.maxBytes) || routingKey === topic;
  const reason = max === undefined ? 'unauthorised' : 'too_large';
  const guilty = messages.flatMap((message, index) => (!outcomes[index] && isGuilty(message) ? [index] : []));
  for (const index of guilty) outcomes[index] = rejected(reason);
  return guilty.length > 0;
}

function blockedBecause(reason: string): Error {
  return new Error(`the server has blocked its publishers: ${reason}`);
}
