import pg from 'pg';

const SHARDS = Array.from({ length: 16 }, (_, shard) => shard);
const BATCH = 1_000;
const COLUMNS = 'o.id, o.shard, o.key, o.type, o.payload';
const ALL_COLUMNS = `${COLUMNS}, o.event_id, o.headers, o.created_at`;
const readSql = (columns: string) => `
SELECT e.*, pg_current_snapshot()::text AS snapshot FROM (
  SELECT r.* FROM unnest($1::smallint[], $2::bigint[]) AS p (shard, position), LATERAL (
    (SELECT ${columns} FROM saga_outbox o WHERE o.xid = ANY($3::xid8[]) AND o.shard = p.shard AND o.id <= p.position ORDER BY o.id LIMIT $4)
    UNION ALL
    (SELECT ${columns} FROM saga_outbox o WHERE o.xid >= $5::xid8 AND o.shard = p.shard AND o.id <= p.position ORDER BY o.id LIMIT $4)
    UNION ALL
    (SELECT ${columns} FROM saga_outbox o WHERE o.shard = p.shard AND o.id > p.position ORDER BY o.shard, o.id LIMIT $4)) r
) e RIGHT JOIN (SELECT 1) one ON true`;
const REMOVE = `
DELETE FROM saga_outbox o USING unnest($1::smallint[], $2::bigint[]) AS k (shard, id) WHERE o.shard = k.shard AND o.id = k.id`;
const NO_XID = '18446744073709551615';

interface Row {
  readonly id: string | null;
  readonly shard: number;
  readonly snapshot: string;
}

/** An event as it stands in the table. */
export interface BareEvent {
  readonly id: string;
  readonly shard: number;
  readonly key: string;
  readonly type: string;
  readonly payload: string;
  readonly event_id: string;
  /** JSON text. */
  readonly headers: string;
  readonly created_at: Date;
}

/**
 * The same reads and removals without the library: no lease, no outcome, nothing that could fail.
 * @param publish takes the events somewhere while the next ones are being read; without it they go nowhere
 * @returns what ends it
 */
export async function drainBare(
  url: string,
  publish?: (events: readonly BareEvent[]) => Promise<void>,
): Promise<() => Promise<void>> {
  const [reader, remover] = [new pg.Client(url), new pg.Client(url)];
  await Promise.all([reader.connect(), remover.connect()]);
  const positions = SHARDS.map(() => 0n);
  let [late, xmax]: [string[], string] = [[], NO_XID];
  const query = { name: 'read', text: readSql(publish ? ALL_COLUMNS : COLUMNS) };
  const read = () => {
    const values = [SHARDS, positions.map(String), late, Math.ceil(BATCH / SHARDS.length), xmax];
    return reader.query<Row>({ ...query, values });
  };
  let removing: Promise<unknown> | undefined;
  let reading = read();
  try {
    for (;;) {
      const { rows } = await reading;
      const [, nextXmax = '', inProgress = ''] = (rows[0]?.snapshot ?? '').split(':');
      [late, xmax] = [inProgress === '' ? [] : inProgress.split(','), nextXmax];
      const events = rows.filter((row): row is Row & BareEvent => row.id !== null);
      for (const { shard, id } of events)
        if (BigInt(id) > (positions[shard] ?? 0n)) positions[shard] = BigInt(id);
      if (publish && events.length > 0) {
        reading = read();
        // As the library: a batch goes out when the one before it is gone, so that a crash repeats one, not two.
        await removing;
        await publish(events);
      }
      await removing;
      if (events.length === 0) return () => Promise.resolve();
      const keys = [events.map(({ shard }) => shard), events.map(({ id }) => id)];
      removing = remover.query({ name: 'remove', text: REMOVE, values: keys });
      if (!publish) reading = read();
    }
  } finally {
    await Promise.all([reader.end(), remover.end()]);
  }
}
