import type { MessageBroker } from 'nestjs-sagaz';
import type { BareEvent } from '../bare-relay.js';

/** A broker's server, seen from the library and from its raw client. */
export interface Target {
  readonly name: string;
  /** What the rate should reach of the raw client's. */
  readonly rawBar: number;
  /** The library's broker. */
  broker(): MessageBroker;
  /** Hands a batch over with the raw client and waits until the server has all of it. */
  publish(batch: readonly BareEvent[]): Promise<void>;
  /** How many messages the server has. */
  count(): Promise<number>;
  /** Removes them. */
  empty(): Promise<void>;
  close(): Promise<void>;
}

/** The type of every event of the backlog. */
export const TYPE = 'order.completed';

/** What the library's messages have as headers, put together by hand. */
export function headersOf({
  headers,
  event_id: id,
  type,
  key,
  created_at,
}: BareEvent): Record<string, string> {
  const own = JSON.parse(headers) as Record<string, string>;
  return { ...own, id, type, key, occurredAt: created_at.toISOString() };
}
