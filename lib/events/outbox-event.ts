import type { Duration } from '../runtime/duration.js';

/** An event as the application writes it. */
export interface OutboxEventInput {
  /** Topic or routing key, such as `'order.completed'`. */
  type: string;
  /** Any JSON value; serialised when `publish` is called, so later changes of the object do not matter. */
  payload?: unknown;
  /** Events of one key are relayed in order. Default: the aggregate id, in a step the saga id, else the event id. */
  key?: string | undefined;
  aggregateType?: string | undefined;
  aggregateId?: string | undefined;
  /** Travel with the event as message headers. At most 16 KiB of JSON text, names of at most 255 bytes. */
  headers?: Readonly<Record<string, string>> | undefined;
  /** A UUID; default: a new UUIDv7. Consumers recognise repeats by it. */
  id?: string | undefined;
  /** Not published before this time after it was written. It has no place in the order of its key, and holds up nobody. */
  delay?: Duration | undefined;
  /** The same as a point in time, by the clock of this host. One that is past means at once. Excludes `delay`. */
  availableAt?: Date | undefined;
  /** Named broker or brokers; beats the `routes` option. Default `'default'`. */
  destination?: string | readonly string[] | undefined;
}

/** An event as it is stored: one row of `saga_outbox` for one destination. */
export interface OutboxRecord {
  readonly eventId: string;
  readonly shard: number;
  readonly destination: string;
  readonly type: string;
  readonly key: string;
  readonly aggregateType: string | null;
  readonly aggregateId: string | null;
  /** JSON text. */
  readonly payload: string;
  /** JSON text of a record of texts. */
  readonly headers: string;
  /** Undefined: to be published at once, in the order of its key. */
  readonly delayMs?: number | undefined;
}
