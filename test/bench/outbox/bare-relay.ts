import pg from 'pg';

const SHARDS = Array.from({ length: 16 }, (_, shard) => shard);
const BATCH = 1_000;
const COLUMNS = 'o.id, o.shard, o.key, o.type, o.payload';
const READ = `
SELECT e.*, pg_current_snapshot()::text AS snapshot FROM (
  SELECT r.* FROM unnest($1::smallint[], $2::bigint[]) AS p (shard, position), LATERAL (
    (SELECT ${COLUMNS} FROM saga_outbox o WHERE o.xid = ANY($3::xid8[]) AND o.shard = p.shard AND o.id <= p.position ORDER BY o.id LIMIT $4)
    UNION ALL
    (SELECT ${COLUMNS} FROM saga_outbox o WHERE o.xid >= $5::xid8 AND o.shard = p.shard AND o.id <= p.position ORDER BY o.id LIMIT $4)
    UNION ALL
    (SELECT ${COLUMNS} FROM saga_outbox o WHERE o.shard = p.shard AND o.id > p.position ORDER BY o.shard, o.id LIMIT $4)) r
) e RIGHT JOIN (SELECT 1) one ON true`;
const REMOVE = `
DELETE FROM saga_outbox o USING unnest($1::smallint[], $2::bigint[]) AS k (shard, id) WHERE o.shard = k.shard AND o.id = k.id`;
const NO_XID = '18446744073709551615';

interface Row {
  readonly id: string | null;
  readonly shard: number;
  readonly snapshot: string;
}

/**
 * The same reads and removals without the library: no lease, no broker, no outcome, nothing that could fail.
 * @returns what ends it
 */
export async function drainBare(url: string): Promise<() => Promise<void>> {
  const [reader, remover] = [new pg.Client(url), new pg.Client(url)];
  await Promise.all([reader.connect(), remover.connect()]);
  const positions = SHARDS.map(() => 0n);
  let [late, xmax]: [string[], string] = [[], NO_XID];
  let removing: Promise<unknown> | undefined;
  try {
    for (;;) {
      const values = [SHARDS, positions.map(String), late, Math.ceil(BATCH / SHARDS.length), xmax];
      const { rows } = await reader.query<Row>({ name: 'read', text: READ, values });
      const [, nextXmax = '', inProgress = ''] = (rows[0]?.snapshot ?? '').split(':');
      [late, xmax] = [inProgress === '' ? [] : inProgress.split(','), nextXmax];
      const events = rows.filter((row): row is Row & { id: string } => row.id !== null);
      for (const { shard, id } of events)
        if (BigInt(id) > (positions[shard] ?? 0n)) positions[shard] = BigInt(id);
      await removing;
      if (events.length === 0) return () => Promise.resolve();
      const keys = [events.map(({ shard }) => shard), events.map(({ id }) => id)];
      removing = remover.query({ name: 'remove', text: REMOVE, values: keys });
    }
  } finally {
    await Promise.all([reader.end(), remover.end()]);
  }
}
