import type pg from 'pg';

export interface Backlog {
  readonly events: number;
  /** How many keys the events have. Default 5,000. */
  readonly keys?: number;
}

const CHUNK = 10_000;

/** Events of about 325 bytes, as a business transaction would have left them, each in its shard. */
export async function fillOutbox(client: pg.Client, { events, keys = 5_000 }: Backlog): Promise<void> {
  for (let first = 0; first < events; first += CHUNK)
    await client.query(
      `INSERT INTO saga_outbox (shard, event_id, destination, type, key, payload, headers)
       SELECT (g % $3 % 16)::smallint, gen_random_uuid(), 'default', 'order.completed', 'order-' || (g % $3),
         json_build_object('orderId', g, 'text', repeat('x', 250))::text,
         '{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}'
       FROM generate_series($1::int, $2::int) AS g`,
      [first, Math.min(events, first + CHUNK) - 1, keys],
    );
  await client.query('ANALYZE saga_outbox');
  await client.query('CHECKPOINT');
}
