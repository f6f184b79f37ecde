import { headerTexts } from '../../events/header-texts.js';

/** An entry of a stream as Redis has it. */
export interface StreamEntry {
  /** The type of its events: the stream's name without the prefix. */
  readonly type: string;
  readonly id: string;
  readonly fields: readonly string[];
}

/** What {@link RedisStreamsBroker} has written, whatever the envelope. */
export interface StreamMessage {
  readonly type: string;
  readonly payload: unknown;
  readonly headers: Readonly<Record<string, string>>;
  /** Stable over redeliveries. */
  readonly eventId: string;
  readonly key: string;
}

/** @throws Error for an entry that is no event */
export function messageOf({ type, id, fields }: StreamEntry): StreamMessage {
  const named = new Map(fields.flatMap((name, n) => (n % 2 === 0 ? [[name, fields[n + 1] ?? '']] : [])));
  const headers = headerTexts(parse('headers', named.get('headers') ?? '{}'));
  const event = named.get('event');
  const payload =
    event === undefined
      ? parse('data', named.get('data'))
      : (parse('event', event) as { data?: unknown }).data;
  // An entry that somebody else has written is known by its place.
  return { type, payload, headers, eventId: headers['id'] ?? `${type}/${id}`, key: headers['key'] ?? id };
}

function parse(field: string, text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '') as unknown;
  } catch {
    throw new Error(`its field "${field}" is ${text === undefined ? 'missing' : 'no JSON'}`);
  }
}
