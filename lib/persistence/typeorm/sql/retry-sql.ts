import type { Tables } from '../identifiers.js';
import { EVENT_COLUMNS } from './outbox-sql.js';

const COPY = `${EVENT_COLUMNS}, created_at`;
const EVENT = `r.shard, r.event_id AS "eventId", r.destination, r.type, r.key, r.aggregate_type AS "aggregateType",
  r.aggregate_id AS "aggregateId", r.payload, r.headers, date_part('epoch', r.created_at) * 1000 AS "createdMs"`;

/**
 * The shards among $1 that worker `owner` has now. The lock orders this against a takeover: whoever takes a shard knows
 * everything that its last owner has moved, also by a statement that the server finished when its process was dead.
 */
const owned = (t: Tables, owner: string) => `owned AS MATERIALIZED (
  SELECT shard FROM ${t.shard} WHERE shard = ANY($1::smallint[]) AND owner = ${owner} ORDER BY shard FOR SHARE)`;

/** Takes events out of the outbox. */
const gone = (t: Tables) => `gone AS (
  DELETE FROM ${t.outbox} o USING unnest($1::smallint[], $2::bigint[]) AS k (shard, id)
  WHERE o.shard = k.shard AND o.id = k.id AND o.shard IN (SELECT shard FROM owned) RETURNING o.*)`;

/** Moves events to the side table in the order in which they are given. */
export const divertSql = (t: Tables) => `
WITH ${owned(t, '$6')}, ${gone(t)}
INSERT INTO ${t.retry} (${COPY}, reason, attempts, blocks, next_at)
SELECT ${COPY.split(', ')
  .map((column) => `gone.${column}`)
  .join(', ')}, w.reason, w.attempts, true, clock_timestamp() + w.next_ms * interval '1 millisecond'
FROM unnest($1::smallint[], $2::bigint[], $3::text[], $4::int[], $5::float8[]) WITH ORDINALITY
  AS w (shard, id, reason, attempts, next_ms, place)
JOIN gone ON gone.shard = w.shard AND gone.id = w.id ORDER BY w.place`;

export const burySql = (t: Tables) => `
WITH ${owned(t, '$4')}, ${gone(t)}
INSERT INTO ${t.deadLetter} (${COPY}, reason, attempts)
SELECT ${COPY.split(', ')
  .map((column) => `gone.${column}`)
  .join(', ')}, w.reason, 1
FROM unnest($1::smallint[], $2::bigint[], $3::text[]) AS w (shard, id, reason)
JOIN gone ON gone.shard = w.shard AND gone.id = w.id ON CONFLICT (event_id, destination) DO NOTHING`;

/** By the index of blocking events. */
export const blockedKeysSql = (t: Tables) => `
SELECT shard, destination, key, count(*)::int AS events FROM ${t.retry}
WHERE blocks AND shard = ANY($1::smallint[]) GROUP BY shard, destination, key`;

/** Heads whose time has come, by their index, each with what waits behind it. */
export const dueSql = (t: Tables) => `
WITH head AS MATERIALIZED (
  SELECT shard, seq, destination, key, blocks FROM ${t.retry}
  WHERE shard = ANY($1::smallint[]) AND next_at <= (SELECT clock_timestamp()) AND destination <> ALL($2::text[])
  ORDER BY next_at LIMIT $3
), due AS (
  SELECT shard, seq FROM head WHERE NOT blocks
  UNION ALL
  SELECT l.shard, l.seq FROM (SELECT DISTINCT shard, destination, key FROM head WHERE blocks) h, LATERAL (
    SELECT shard, seq FROM ${t.retry} r
    WHERE r.blocks AND r.shard = h.shard AND r.destination = h.destination AND r.key = h.key ORDER BY r.seq LIMIT $3) l
)
SELECT r.seq, r.blocks, r.attempts, ${EVENT} FROM due JOIN ${t.retry} r ON r.shard = due.shard AND r.seq = due.seq
ORDER BY r.seq`;

export const publishedSql = (t: Tables) => `
DELETE FROM ${t.retry} r USING unnest($1::smallint[], $2::bigint[]) AS k (shard, seq)
WHERE r.shard = k.shard AND r.seq = k.seq`;

export const failedAgainSql = (t: Tables) => `
WITH ${owned(t, '$6')}
UPDATE ${t.retry} r
SET attempts = w.attempts, reason = w.reason, next_at = clock_timestamp() + w.next_ms * interval '1 millisecond'
FROM unnest($1::smallint[], $2::bigint[], $3::text[], $4::int[], $5::float8[]) AS w (shard, seq, reason, attempts, next_ms)
WHERE r.shard = w.shard AND r.seq = w.seq AND r.shard IN (SELECT shard FROM owned)`;

export const exhaustedSql = (t: Tables) => `
WITH ${owned(t, '$4')}, dead AS (
  DELETE FROM ${t.retry} r USING unnest($1::smallint[], $2::bigint[], $3::text[]) AS w (shard, seq, reason)
  WHERE r.shard = w.shard AND r.seq = w.seq AND r.shard IN (SELECT shard FROM owned) RETURNING r.*, w.reason AS why)
INSERT INTO ${t.deadLetter} (${COPY}, reason, attempts)
SELECT ${COPY}, why, attempts + 1 FROM dead ON CONFLICT (event_id, destination) DO NOTHING`;

/** The first event of a key whose head is gone is due. */
export const promoteSql = (t: Tables) => `
UPDATE ${t.retry} r SET next_at = clock_timestamp()
FROM (SELECT DISTINCT shard, destination, key FROM unnest($1::smallint[], $2::text[], $3::text[]) AS k (shard, destination, key)) k,
LATERAL (SELECT shard, seq FROM ${t.retry} f
  WHERE f.blocks AND f.shard = k.shard AND f.destination = k.destination AND f.key = k.key ORDER BY f.seq LIMIT 1) first
WHERE r.shard = first.shard AND r.seq = first.seq AND r.next_at IS NULL`;

/** Parameters 1 to 6: event ids, destination, type, key, died after, died before; NULL does not matter. */
const CHOSEN = `($1::uuid[] IS NULL OR d.event_id = ANY($1)) AND ($2::text IS NULL OR d.destination = $2)
  AND ($3::text IS NULL OR d.type = $3) AND ($4::text IS NULL OR d.key = $4)
  AND ($5::timestamptz IS NULL OR d.died_at > $5) AND ($6::timestamptz IS NULL OR d.died_at < $6)`;

export const deadLettersSql = (t: Tables) => `
SELECT d.event_id AS "eventId", d.destination, d.type, d.key, d.payload, d.headers, d.reason, d.attempts,
  d.created_at AS "createdAt", d.died_at AS "diedAt"
FROM ${t.deadLetter} d WHERE ${CHOSEN} ORDER BY d.died_at DESC, d.event_id LIMIT $7`;

/** They do not block their keys, nor are they blocked: they have lost their place. */
export const requeueSql = (t: Tables) => `
WITH chosen AS (DELETE FROM ${t.deadLetter} d WHERE ${CHOSEN} RETURNING d.*)
INSERT INTO ${t.retry} (${COPY}, reason, attempts, blocks, next_at)
SELECT ${COPY}, 'requeued', 0, false, clock_timestamp() FROM chosen ORDER BY died_at RETURNING event_id`;

export const discardSql = (t: Tables) => `DELETE FROM ${t.deadLetter} d WHERE ${CHOSEN} RETURNING event_id`;
