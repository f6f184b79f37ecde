import { SHARD_COUNT } from '../../../events/shard.js';
import type { Tables } from '../identifiers.js';

export const EVENT_COLUMNS =
  'shard, event_id, destination, type, key, aggregate_type, aggregate_id, payload, headers';

/** Rows made of nine arrays, the first of which is parameter `first`. */
export function eventsFrom(first: number): string {
  const types = ['smallint', 'uuid', 'text', 'text', 'text', 'text', 'text', 'text', 'text'];
  const arrays = types.map((type, index) => `$${first + index}::${type}[]`).join(', ');
  return `SELECT ${EVENT_COLUMNS} FROM unnest(${arrays}) WITH ORDINALITY AS e (${EVENT_COLUMNS}, ordinality)`;
}

/** Events get their ids in the order in which they were given. */
export const insertEventsSql = (t: Tables) =>
  `INSERT INTO ${t.outbox} (${EVENT_COLUMNS}) ${eventsFrom(1)} ORDER BY ordinality`;

const COLUMNS = `o.id, o.shard, o.event_id AS "eventId", o.destination, o.type, o.key, o.aggregate_type AS "aggregateType",
  o.aggregate_id AS "aggregateId", o.payload, o.headers, date_part('epoch', o.created_at) * 1000 AS "createdMs"`;

/**
 * Reads pending events of the given shards in one statement, hence one snapshot, which is returned in a row of its own.
 * Three parts for each shard: above the position (primary key); behind it, of transactions that were in progress in the
 * previous snapshot, and of those that began after it (both by the index on xid, which finds next to nothing).
 * Locks nothing. A transaction that commits later is found by the next read.
 */
export const readSql = (t: Tables) => `
SELECT r.*, NULL AS snapshot FROM unnest($1::smallint[], $2::bigint[]) AS p (shard, position), LATERAL (
  (SELECT ${COLUMNS} FROM ${t.outbox} o
   WHERE o.shard = p.shard AND o.id > p.position ORDER BY o.shard, o.id LIMIT $5)
  UNION ALL
  (SELECT ${COLUMNS} FROM ${t.outbox} o
   WHERE o.xid = ANY($3::xid8[]) AND o.shard = p.shard AND o.id <= p.position ORDER BY o.id LIMIT $5)
  UNION ALL
  (SELECT ${COLUMNS} FROM ${t.outbox} o
   WHERE o.xid >= $4::xid8 AND o.xid < pg_snapshot_xmax(pg_current_snapshot())
     AND o.shard = p.shard AND o.id <= p.position ORDER BY o.id LIMIT $5)
) r
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, pg_current_snapshot()::text`;

/** By both columns of the primary key; by id alone it would scan the table. */
export const removeSql = (t: Tables) => `
DELETE FROM ${t.outbox} o USING unnest($1::smallint[], $2::bigint[]) AS k (shard, id)
WHERE o.shard = k.shard AND o.id = k.id`;

const LIVE = (t: Tables) => `live AS (
  SELECT id FROM ${t.worker} WHERE relays AND NOT dead
), share AS (SELECT ceil(${SHARD_COUNT}.0 / greatest(1, count(*)))::int AS size FROM live)`;

/** Gives back what is more than a fair share, so that workers that came later get some. */
export const returnShardsSql = (t: Tables) => `
WITH ${LIVE(t)}
UPDATE ${t.shard} SET owner = NULL
WHERE owner = $1 AND shard IN (SELECT shard FROM ${t.shard} WHERE owner = $1 ORDER BY shard OFFSET (SELECT size FROM share))`;

/** Takes shards that no live worker has, up to a fair share. SKIP LOCKED: two workers that ask at once get different ones. */
export const takeShardsSql = (t: Tables) => `
WITH ${LIVE(t)}, free AS (
  SELECT shard FROM ${t.shard}
  WHERE owner IS NULL OR owner NOT IN (SELECT id FROM live)
  ORDER BY shard
  LIMIT greatest(0, (SELECT size FROM share) - (SELECT count(*) FROM ${t.shard} WHERE owner = $1))
  FOR UPDATE SKIP LOCKED
)
UPDATE ${t.shard} s SET owner = $1, epoch = s.epoch + 1 FROM free WHERE s.shard = free.shard`;

export const ownedShardsSql = (t: Tables) => `SELECT shard FROM ${t.shard} WHERE owner = $1 ORDER BY shard`;

export const releaseShardsSql = (t: Tables) => `UPDATE ${t.shard} SET owner = NULL WHERE owner = $1`;
