import type { Options } from 'amqplib';
import type { PublishItem } from '../../events/publish.js';
import { CLOUD_EVENT_TYPE, cloudEvent, JSON_TYPE, nestEvent, type Envelope } from '../envelope.js';

/** An event as it goes over the wire. */
export interface RabbitMqMessage {
  readonly eventId: string;
  readonly routingKey: string;
  readonly body: Buffer;
  readonly properties: Options.Publish;
}

/** Routing keys are short strings of AMQP. */
export const MAX_ROUTING_KEY_BYTES = 255;

export function rabbitMqMessage(item: PublishItem, envelope: Envelope): RabbitMqMessage {
  const { eventId, type } = item;
  const headers = item.headers;
  const text =
    envelope === 'nest' ? nestEvent(item) : envelope === 'plain' ? item.payload : cloudEvent(item, headers);
  const occurredMs = Date.parse(headers['occurredAt'] ?? '');
  return {
    eventId,
    routingKey: type,
    body: Buffer.from(text),
    properties: {
      persistent: true,
      mandatory: true,
      contentType: envelope === 'cloudevents' ? CLOUD_EVENT_TYPE : JSON_TYPE,
      messageId: eventId,
      type: type,
      ...(Number.isNaN(occurredMs) ? {} : { timestamp: Math.floor(occurredMs / 1_000) }),
      headers,
    },
  };
}
