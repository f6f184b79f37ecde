import { query } from '../database.js';

/** How many sagas there are beside those that are measured. */
export interface Growth {
  readonly finished: number;
  readonly waiting: number;
}

/** A UUIDv7 of the moment `at`, as the library makes them. */
const ID = `(lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(random()::text), 1, 3)
  || '8' || substr(md5(random()::text), 1, 15))::uuid`;
const INPUT = '{"orderId":"A-1","amount":12}';

/**
 * Fills the tables with sagas of the last four weeks that have ended and with others that wait for something that comes in
 * the next four, each with its payload and its journal, and tidies up as autovacuum would.
 */
export async function fillTables(url: string, { finished, waiting }: Growth): Promise<void> {
  const old = (count: number) => `
SELECT ${ID} AS id, at FROM (SELECT clock_timestamp() - interval '28 days' * random() AS at FROM generate_series(1, ${count})) AS s`;
  await query(
    url,
    `CREATE TABLE old_saga AS ${old(finished)} ORDER BY 2; CREATE TABLE waiting_saga AS ${old(waiting)}`,
  );
  const columns = 'id, name, version, status, epoch, correlation_id, started_at';
  await query(
    url,
    `INSERT INTO saga_instance (${columns}, ended_at)
     SELECT id, 'order', 1, 'completed', 1, id::text, at, at + interval '1 second' FROM old_saga;
     INSERT INTO saga_instance (${columns}, wake_at)
     SELECT id, 'order', 1, 'waiting', 1, id::text, at, clock_timestamp() + interval '28 days' * random() FROM waiting_saga`,
  );
  await query(
    url,
    `INSERT INTO saga_payload (saga_id, input, results)
     SELECT id, '${INPUT}', '{}' FROM old_saga UNION ALL SELECT id, '${INPUT}', NULL FROM waiting_saga`,
  );
  await query(
    url,
    `INSERT INTO saga_journal (saga_id, seq, epoch, kind, step, attempt, at)
     SELECT id, n, 1, 'step_completed', 'reserve', 1, at FROM old_saga, generate_series(1, 3) AS n
     UNION ALL SELECT id, 1, 1, 'step_completed', 'reserve', 1, at FROM waiting_saga`,
  );
  await query(url, 'DROP TABLE old_saga, waiting_saga');
  for (const table of ['saga_instance', 'saga_payload', 'saga_journal'])
    await query(url, `VACUUM (ANALYZE) ${table}`);
  await query(url, 'CHECKPOINT');
}
