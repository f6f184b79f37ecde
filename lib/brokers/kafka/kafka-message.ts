import type { Message } from 'kafkajs';
import type { PublishItem } from '../../events/publish.js';
import { cloudEventAttributes, JSON_TYPE, type Envelope } from '../envelope.js';

/** An event as it goes over the wire. */
export interface KafkaMessage {
  /** Its place in the batch that the relay handed over. */
  readonly index: number;
  readonly topic: string;
  readonly message: Message;
  /** About what it adds to a record batch. */
  readonly bytes: number;
}

/** Of a record beside key, value and headers, at most. */
const RECORD_OVERHEAD = 64;
const HEADER_OVERHEAD = 8;

export function kafkaMessage(
  item: PublishItem,
  topic: string,
  envelope: Envelope,
): Omit<KafkaMessage, 'index'> {
  const own = item.headers;
  const headers = envelope === 'cloudevents' ? { ...own, ...binaryHeaders(item, own) } : own;
  let bytes = RECORD_OVERHEAD + Buffer.byteLength(item.payload) + Buffer.byteLength(item.key);
  for (const name in headers)
    bytes += HEADER_OVERHEAD + Buffer.byteLength(name) + Buffer.byteLength(headers[name] ?? '');
  return { topic, message: { key: item.key, value: item.payload, headers }, bytes };
}

/** The binary mode of CloudEvents: attributes are headers, the value is the data. */
function binaryHeaders(item: PublishItem, own: Readonly<Record<string, string>>): Record<string, string> {
  const { datacontenttype: _, ...attributes } = cloudEventAttributes(item, own);
  const entries = Object.entries(attributes).map(([name, text]) => [`ce_${name}`, text] as const);
  return { ...Object.fromEntries(entries), 'content-type': JSON_TYPE };
}
