import type { PublishItem } from '../events/publish.js';
import { oneOf } from '../runtime/readers.js';

/**
 * How an event is written into a message. `nest`: as Nest's own transports expect it, so that an `@EventPattern(type)`
 * handler works unchanged. `cloudevents`: CloudEvents 1.0. `plain`: the payload alone. Whatever the envelope, the message
 * headers carry `id`, `type`, `key`, `occurredAt` and what the event brought along.
 */
export type Envelope = 'nest' | 'cloudevents' | 'plain';

/** What every broker has in its options. */
export interface EnvelopeOptions {
  /** Default `'nest'`. */
  envelope?: Envelope | undefined;
}

export const envelope = () => oneOf(['nest', 'cloudevents', 'plain'], 'nest');

export const JSON_TYPE = 'application/json';
export const CLOUD_EVENT_TYPE = 'application/cloudevents+json';

/** CloudEvents wants to know where an event comes from; the id alone is unique already. */
const SOURCE = '/nestjs-sagaz';
/** Headers that are attributes of a CloudEvent, whose names have no capitals. */
const EXTENSIONS = ['sagaId', 'sagaStartedAt', 'correlationId', 'traceparent', 'tracestate'] as const;

type Headers = Readonly<Record<string, string>>;

/** The attributes of an event in CloudEvents 1.0, without its data. */
export function cloudEventAttributes(item: PublishItem, headers: Headers): Record<string, string> {
  const extensions = EXTENSIONS.filter((name) => headers[name] !== undefined).map(
    (name) => [name.toLowerCase(), headers[name] ?? ''] as const,
  );
  return {
    specversion: '1.0',
    id: item.eventId,
    source: SOURCE,
    type: item.type,
    time: headers['occurredAt'] ?? '',
    datacontenttype: JSON_TYPE,
    partitionkey: item.key,
    ...(Object.fromEntries(extensions) as Record<string, string>),
  };
}

/** An event as JSON text in the structured mode of CloudEvents 1.0. */
export function cloudEvent(item: PublishItem, headers: Headers): string {
  return `${JSON.stringify(cloudEventAttributes(item, headers)).slice(0, -1)},"data":${item.payload}}`;
}

/** What Nest's transports with one text per message expect of an event: with a field `id` it would be a request. */
export function nestEvent({ type, payload }: PublishItem): string {
  return `{"pattern":${JSON.stringify(type)},"data":${payload}}`;
}
