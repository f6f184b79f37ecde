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
  /** Travel with the event as message headers. */
  headers?: Readonly<Record<string, string>> | undefined;
  /** A UUID; default: a new UUIDv7. Consumers recognise repeats by it. */
  id?: string | undefined;
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
}
