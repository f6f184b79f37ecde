import { SHARD_COUNT } from '../../../events/shard.js';
import type { Tables } from '../identifiers.js';
import { EVENT_COLUMNS } from './event-columns.js';
import { keepSql } from './sent-sql.js';

/** Rows made of nine arrays, the first of which is parameter `first`. */
export function eventsFrom(first: number): string {
  const types = ['smallint', 'uuid', 'text', 'text', 'text', 'text', 'text', 'text', 'text'];
  const arrays = types.map((type, index) => `$${first + index}::${type}[]`).join(', ');
  return `SELECT ${EVENT_COLUMNS} FROM unnest(${arrays}) WITH ORDINALITY AS e (${EVENT_COLUMNS}, ordinality)`;
}

/** Events get their ids in the order in which they were given. */
export const insertEventsSql = (t: Tables) =>
  `INSERT INTO ${t.outbox} (${EVENT_COLUMNS}) ${eventsFrom(1)} ORDER BY ordinality`;

/** They have no place in the order: each waits in the side table until its time. The tenth array is their delays. */
export const insertDelayedSql = (t: Tables) => `
INSERT INTO ${t.retry} (${EVENT_COLUMNS}, created_at, attempts, blocks, next_at, stamped_at)
SELECT e.*, clock_timestamp(), 0, false, d.due, d.due
FROM (${eventsFrom(1)} ORDER BY ordinality) e
JOIN (SELECT event_id, destination, clock_timestamp() + ms * interval '1 millisecond' AS due
  FROM unnest($2::uuid[], $3::text[], $10::float8[]) AS d (event_id, destination, ms)) d
  ON d.event_id = e.event_id AND d.destination = e.destination`;

/** Orders producers that do not lock what their keys stand for, until their transactions end. In the order of the locks. */
export const lockKeysSql = `
SELECT pg_advisory_xact_lock(n) FROM (
  SELECT DISTINCT hashtextextended(key, 370338) AS n FROM unnest($1::text[]) AS k (key) ORDER BY n) locks`;

/** Bytes above which a payload is not read with its batch. */
export const LARGE_PAYLOAD_BYTES = 16_384;
const LARGE = `octet_length(o.payload) > ${LARGE_PAYLOAD_BYTES}`;

const COLUMNS = `o.id, o.shard, o.event_id AS "eventId", o.destination, o.type, o.key, o.aggregate_type AS "aggregateType",
  o.aggregate_id AS "aggregateId", CASE WHEN ${LARGE} THEN '' ELSE o.payload END AS payload, o.headers,
  date_part('epoch', o.created_at) * 1000 AS "createdMs", CASE WHEN ${LARGE} THEN octet_length(o.payload) END AS "absentBytes"`;

/**
 * Reads pending events of the given shards in one statement, hence one snapshot, which is returned in a row of its own.
 * Three parts for each shard: above the position (primary key); behind it, of transactions that were in progress in the
 * previous snapshot, and of those that began after it (both by the index on xid, which finds next to nothing).
 * Locks nothing. A transaction that commits later is found by the next read.
 */
export const readSql = (t: Tables) => `
SELECT r.*, NULL AS snapshot FROM unnest($1::smallint[], $2::bigint[], $5::int[]) AS p (shard, position, most), LATERAL (
  (SELECT ${COLUMNS} FROM ${t.outbox} o
   WHERE o.shard = p.shard AND o.id > p.position ORDER BY o.shard, o.id LIMIT p.most)
  UNION ALL
  (SELECT ${COLUMNS} FROM ${t.outbox} o
   WHERE o.xid = ANY($3::xid8[]) AND o.shard = p.shard AND o.id <= p.position ORDER BY o.id LIMIT p.most)
  UNION ALL
  (SELECT ${COLUMNS} FROM ${t.outbox} o
   WHERE o.xid >= $4::xid8 AND o.xid < pg_snapshot_xmax(pg_current_snapshot())
     AND o.shard = p.shard AND o.id <= p.position ORDER BY o.id LIMIT p.most)
) r
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, pg_current_snapshot()::text`;

/** The payloads that were too large to be read with their batch. */
export const payloadsSql = (t: Tables) => `
SELECT o.id, o.payload FROM ${t.outbox} o JOIN unnest($1::smallint[], $2::bigint[]) AS k (shard, id)
  ON o.shard = k.shard AND o.id = k.id`;

/** By both columns of the primary key; by id alone it would scan the table. */
export const removeSql = (t: Tables) => `
DELETE FROM ${t.outbox} o USING unnest($1::smallint[], $2::bigint[]) AS k (shard, id)
WHERE o.shard = k.shard AND o.id = k.id`;

/** Removes events and keeps them among the published ones. */
export const removeAndKeepSql = (t: Tables) => `
WITH gone AS (${removeSql(t)} RETURNING o.*)
${keepSql(t, '$3', 'id')}`;

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
UPDATE ${t.shard} s SET owner = $1, epoch = s.epoch + 1, unclean = s.unclean OR s.owner IS NOT NULL FROM free WHERE s.shard = free.shard`;

export const ownedShardsSql = (t: Tables) => `SELECT shard FROM ${t.shard} WHERE owner = $1 ORDER BY shard`;

export const releaseShardsSql = (t: Tables) => `UPDATE ${t.shard} SET owner = NULL WHERE owner = $1`;
