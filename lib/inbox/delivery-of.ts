import { headerTexts } from '../events/header-texts.js';
import { backOffMs, REDELIVERY } from '../runtime/back-off.js';
import { errorText } from '../runtime/error-text.js';
import type { Log } from '../runtime/log.js';
import { InboxTransportError } from '../saga/state/errors.js';
import type { Delivery } from './delivery.js';

type Shape = Readonly<Record<string, unknown>>;

const nothing = () => Promise.resolve();

/**
 * The delivery behind the context of a Nest handler, by its shape: RabbitMQ, Kafka, and the transports of this library.
 * @throws InboxTransportError for another one
 */
export function deliveryOf(context: unknown, log: Log): Delivery {
  const shape = (context ?? {}) as Shape;
  if (isMethod(shape, 'getChannelRef')) return rabbitMqDelivery(context as RabbitMqShape, log);
  if (isMethod(shape, 'getProducer') && isMethod(shape, 'getTopic'))
    return kafkaDelivery(context as KafkaShape);
  if (typeof shape['eventId'] === 'string') return ownDelivery(context as OwnShape);
  throw new InboxTransportError(
    '@IdempotentConsumer works on the RabbitMQ and Kafka transports of Nest and on those of this library; elsewhere call inbox.process',
  );
}

interface OwnShape {
  readonly eventId: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Where the transport has a place for dead letters. */
  giveUp?(error: Error): Promise<void>;
}

/** They await the handler, and repeat what failed. */
function ownDelivery(context: OwnShape): Delivery {
  return {
    messageId: context.eventId,
    headers: context.headers,
    accept: nothing,
    repeat: (error) => Promise.reject(error),
    giveUp: async (error) => context.giveUp?.(error),
  };
}

interface RabbitMqMessage {
  readonly properties: {
    readonly messageId?: unknown;
    readonly headers?: Readonly<Record<string, unknown>> | undefined;
  };
}

interface RabbitMqShape {
  getMessage(): RabbitMqMessage;
  getChannelRef(): {
    ack(message: RabbitMqMessage): void;
    nack(message: RabbitMqMessage, allUpTo: boolean, requeue: boolean): void;
  };
}

function rabbitMqDelivery(context: RabbitMqShape, log: Log): Delivery {
  const message = context.getMessage();
  const channel = context.getChannelRef();
  const headers = headerTexts(message.properties.headers);
  const { messageId = headers['id'] } = message.properties;
  return {
    ...{ messageId: idOf(messageId), headers },
    accept: () => {
      channel.ack(message);
      return Promise.resolve();
    },
    // Its queue would bring it again at once, and Nest says nothing of it.
    repeat: async (error) => {
      const pause = backOffMs(REDELIVERY, deliveriesBefore(message) + 1);
      log.warn(`message ${idOf(messageId)} failed, again in ${pause} ms: ${errorText(error)}`);
      await new Promise((resolve) => setTimeout(resolve, pause).unref());
      channel.nack(message, false, true);
    },
    // To the dead-letter exchange of the queue.
    giveUp: () => {
      channel.nack(message, false, false);
      return Promise.resolve();
    },
  };
}

/** Only quorum queues count them. */
function deliveriesBefore({ properties }: RabbitMqMessage): number {
  const count = properties.headers?.['x-delivery-count'];
  return typeof count === 'number' ? count : 0;
}

interface KafkaMessage {
  readonly key?: unknown;
  readonly value?: unknown;
  readonly headers?: Readonly<Record<string, unknown>> | undefined;
}

interface KafkaShape {
  getMessage(): KafkaMessage;
  getTopic(): string;
  getProducer(): { send(record: { topic: string; messages: readonly unknown[] }): Promise<unknown> };
}

/** The transport commits what a handler has taken, and repeats what it throws. */
function kafkaDelivery(context: KafkaShape): Delivery {
  const { key, value, headers: given } = context.getMessage();
  const headers = headerTexts(given);
  return {
    messageId: idOf(headers['id'] ?? headers['ce_id']),
    headers,
    accept: nothing,
    repeat: (error) => Promise.reject(error),
    giveUp: async (error) => {
      const messages = [{ key, value: rawOf(value), headers: { ...headers, error: error.message } }];
      await context.getProducer().send({ topic: `${context.getTopic()}.dead-letter`, messages });
    },
  };
}

/** Nest has parsed it. */
function rawOf(value: unknown): unknown {
  return Buffer.isBuffer(value) || typeof value === 'string' ? value : JSON.stringify(value);
}

function idOf(id: unknown): string {
  return typeof id === 'string' ? id : '';
}

function isMethod(shape: Shape, name: string): boolean {
  return typeof shape[name] === 'function';
}
