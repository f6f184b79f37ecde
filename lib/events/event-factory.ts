import type { OutboxEventInput, OutboxRecord } from './outbox-event.js';
import { parseDuration } from '../runtime/duration.js';
import { toJsonText } from './json-text.js';
import { shardOf } from './shard.js';
import { uuidV7 } from './uuid-v7.js';

/** What an event takes from where it is written. */
export interface EventOrigin {
  /** Ordering key of events that name none. */
  readonly key?: string;
  /** Headers under the event's own. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Why an event was refused. */
export interface EventFault {
  readonly kind: 'invalid' | 'too_large' | 'unknown_destination';
  /** The place in the event. */
  readonly field: string;
  readonly reason: string;
}

/** What the module's options say about events. */
export interface EventRules {
  /** Destinations of an event that names none. */
  route(type: string): readonly string[];
  /** Names that a broker is registered for. */
  readonly destinations: ReadonlySet<string>;
  /** Largest payload, in bytes of its JSON text. */
  readonly maxBytes: number;
}

export type MadeEvent =
  { readonly id: string; readonly records: readonly OutboxRecord[] } | { readonly fault: EventFault };

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Checks an event and makes its rows, one for each destination. Nothing is written. */
export function makeEvent(event: OutboxEventInput, rules: EventRules, origin: EventOrigin = {}): MadeEvent {
  const fault = fieldFault(event) ?? timeFault(event) ?? textFault(event);
  if (fault) return { fault };
  const payload = toJsonText(event.payload, 'payload');
  if (!payload.ok) return invalid(payload.path, payload.reason);
  const destinations = new Set(
    event.destination === undefined ? rules.route(event.type) : [event.destination].flat(),
  );
  const misfit = sizeFault(payload.text, rules.maxBytes) ?? destinationFault(destinations, rules);
  if (misfit) return { fault: misfit };
  const record = makeRecord(event, payload.text, origin);
  const headerFault = headersFault(record.headers, event);
  if (headerFault) return { fault: headerFault };
  return {
    id: record.eventId,
    records: [...destinations].map((destination) => ({ ...record, destination })),
  };
}

function makeRecord(
  event: OutboxEventInput,
  payload: string,
  origin: EventOrigin,
): Omit<OutboxRecord, 'destination'> {
  const eventId = event.id?.toLowerCase() ?? uuidV7();
  const delayMs = delayOf(event);
  const key = event.key ?? event.aggregateId ?? origin.key ?? eventId;
  return {
    eventId,
    shard: shardOf(key),
    type: event.type,
    key,
    aggregateType: event.aggregateType ?? null,
    aggregateId: event.aggregateId ?? null,
    payload,
    headers: JSON.stringify(Object.assign({}, origin.headers, event.headers)),
    ...(delayMs > 0 && { delayMs }),
  };
}

function invalid(field: string, reason: string): { fault: EventFault } {
  return { fault: { kind: 'invalid', field, reason } };
}

const TEXT_FIELDS = ['key', 'aggregateType', 'aggregateId'] as const;

function fieldFault(event: OutboxEventInput): EventFault | undefined {
  if (typeof event.type !== 'string' || event.type === '')
    return invalid('type', 'expected a text that is not empty').fault;
  if (event.id !== undefined && !UUID.test(event.id)) return invalid('id', 'expected a UUID').fault;
  const wrong =
    TEXT_FIELDS.find((field) => event[field] !== undefined && typeof event[field] !== 'string') ??
    Object.entries(event.headers ?? {})
      .filter(([, value]) => typeof value !== 'string')
      .map(([name]) => `headers.${name}`)[0];
  return wrong === undefined ? undefined : invalid(wrong, 'expected a text').fault;
}

function delayOf({ delay = 0, availableAt }: OutboxEventInput): number {
  return availableAt ? availableAt.getTime() - Date.now() : (parseDuration(delay) ?? 0);
}

function timeFault({ delay, availableAt }: OutboxEventInput): EventFault | undefined {
  if (delay !== undefined && availableAt !== undefined)
    return invalid('delay', 'excludes availableAt; give one of them').fault;
  if (delay !== undefined && parseDuration(delay) === undefined)
    return invalid('delay', "expected a duration, such as '5m' or milliseconds").fault;
  if (availableAt === undefined) return undefined;
  const isDate = availableAt instanceof Date && !Number.isNaN(availableAt.getTime());
  return isDate ? undefined : invalid('availableAt', 'expected a valid Date').fault;
}

/** PostgreSQL refuses some texts; telling it here names the field. */
function textFault(event: OutboxEventInput): EventFault | undefined {
  const checked = toJsonText(
    Object.assign({}, event, { payload: undefined, availableAt: undefined }),
    'event',
  );
  return checked.ok ? undefined : invalid(checked.path.replace(/^event\./, ''), checked.reason).fault;
}

function sizeFault(text: string, maxBytes: number): EventFault | undefined {
  const bytes = Buffer.byteLength(text);
  if (bytes <= maxBytes) return undefined;
  return {
    kind: 'too_large',
    field: 'payload',
    reason: `${bytes} bytes; the limit payload.maxBytes is ${maxBytes}`,
  };
}

/** Headers travel in memory with every event of a batch. */
const MAX_HEADER_BYTES = 16_384;
/** AMQP 0-9-1 has names of fields as short strings. */
const MAX_HEADER_NAME_BYTES = 255;

function headersFault(text: string, { headers = {} }: OutboxEventInput): EventFault | undefined {
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_HEADER_BYTES)
    return {
      kind: 'too_large',
      field: 'headers',
      reason: `${bytes} bytes; the limit is ${MAX_HEADER_BYTES}`,
    };
  const isLong = (name: string) => Buffer.byteLength(name) > MAX_HEADER_NAME_BYTES;
  if (!Object.keys(headers).some(isLong)) return undefined;
  return invalid('headers', `expected names of at most ${MAX_HEADER_NAME_BYTES} bytes`).fault;
}

function destinationFault(names: ReadonlySet<string>, { destinations }: EventRules): EventFault | undefined {
  if (names.size === 0) return invalid('destination', 'expected at least one name').fault;
  const unknown = [...names].find((name) => !destinations.has(name));
  if (unknown === undefined) return undefined;
  const reason = `no broker is named "${unknown}"; there are: ${[...destinations].join(', ')}`;
  return { kind: 'unknown_destination', field: 'destination', reason };
}
