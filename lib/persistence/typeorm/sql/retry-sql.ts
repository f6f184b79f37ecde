import type { Tables } from '../identifiers.js';
import { EVENT_COLUMNS } from './event-columns.js';
import { keepSql } from './sent-sql.js';

/** Payloads of one round, all together. */
const ROUND_BYTES = 16 * 1_048_576;

const COPY = `${EVENT_COLUMNS}, created_at`;
const EVENT = `r.shard, r.event_id AS "eventId", r.destination, r.type, r.key, r.aggregate_type AS "aggregateType",
  r.aggregate_id AS "aggregateId", r.payload, r.headers, date_part('epoch', r.created_at) * 1000 AS "createdMs",
  date_part('epoch', r.stamped_at) * 1000 AS "stampedMs"`;

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

/** Moves events to the side table in the order in which they are given. A parked one has no time. */
export const divertSql = (t: Tables) => `
WITH ${owned(t, '$7')}, ${gone(t)}
INSERT INTO ${t.retry} (${COPY}, reason, attempts, blocks, next_at, parked_at)
SELECT ${COPY.split(', ')
  .map((column) => `gone.${column}`)
  .join(', ')}, w.reason, w.attempts, true, clock_timestamp() + w.next_ms * interval '1 millisecond',
  CASE WHEN w.parked THEN clock_timestamp() END
FROM unnest($1::smallint[], $2::bigint[], $3::text[], $4::int[], $5::float8[], $6::boolean[]) WITH ORDINALITY
  AS w (shard, id, reason, attempts, next_ms, parked, place)
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
SELECT shard, destination, key, count(*)::int AS events, bool_or(parked_at IS NOT NULL) AS parked,
  (array_agg(next_at IS NULL AND parked_at IS NULL ORDER BY seq))[1] AS stalled FROM ${t.retry}
WHERE blocks AND shard = ANY($1::smallint[]) GROUP BY shard, destination, key`;

/** Heads whose time has come, by their index, each with what waits behind it: nothing goes past a parked event of its key. */
export const dueSql = (t: Tables) => `
WITH head AS MATERIALIZED (
  SELECT shard, seq, destination, key, blocks FROM ${t.retry}
  WHERE shard = ANY($1::smallint[]) AND next_at <= (SELECT clock_timestamp()) AND destination <> ALL($2::text[])
  ORDER BY next_at LIMIT $3
), due AS (
  SELECT shard, seq FROM head WHERE NOT blocks
  UNION ALL
  SELECT l.shard, l.seq FROM (SELECT DISTINCT shard, destination, key FROM head WHERE blocks) h, LATERAL (
    SELECT shard, seq, bool_or(parked_at IS NOT NULL) OVER (ORDER BY seq ROWS UNBOUNDED PRECEDING) AS held FROM ${t.retry} r
    WHERE r.blocks AND r.shard = h.shard AND r.destination = h.destination AND r.key = h.key ORDER BY r.seq LIMIT $3) l
  WHERE NOT l.held
)
SELECT r.seq, r.blocks, r.attempts, r.flights, ${EVENT} FROM (
  SELECT q.*, row_number() OVER w AS n, sum(octet_length(q.payload)) OVER w AS bytes
  FROM due JOIN ${t.retry} q ON q.shard = due.shard AND q.seq = due.seq WINDOW w AS (ORDER BY q.seq)) r
WHERE n = 1 OR bytes <= ${ROUND_BYTES} ORDER BY r.seq`;

/** About to be published by a process that may not survive it. */
export const departSql = (t: Tables) => `
WITH ${owned(t, '$3')}
UPDATE ${t.retry} r SET flights = flights + 1 FROM unnest($1::smallint[], $2::bigint[]) AS k (shard, seq)
WHERE r.shard = k.shard AND r.seq = k.seq AND r.shard IN (SELECT shard FROM owned)`;

/** It did survive. */
export const arriveSql = (t: Tables) => `
UPDATE ${t.retry} r SET flights = 0 FROM unnest($1::smallint[], $2::bigint[]) AS k (shard, seq)
WHERE r.shard = k.shard AND r.seq = k.seq AND flights > 0`;

const published = (t: Tables) => `
DELETE FROM ${t.retry} r USING unnest($1::smallint[], $2::bigint[]) AS k (shard, seq)
WHERE r.shard = k.shard AND r.seq = k.seq AND r.shard IN (SELECT shard FROM owned)`;

/** Not for who has lost the shard: its new owner counts on them. It publishes them again. */
export const publishedSql = (t: Tables) => `WITH ${owned(t, '$3')} ${published(t)}`;

/** And keeps them among the published ones. */
export const publishedAndKeptSql = (t: Tables) => `
WITH ${owned(t, '$3')}, gone AS (${published(t)} RETURNING r.*)
${keepSql(t, '$4', 'NULL')}`;

/** A key waits for an operator. */
export const parkedSql = (t: Tables) => `
WITH ${owned(t, '$4')}
UPDATE ${t.retry} r
SET attempts = attempts + 1, flights = 0, reason = w.reason, next_at = NULL, parked_at = clock_timestamp()
FROM unnest($1::smallint[], $2::bigint[], $3::text[]) AS w (shard, seq, reason)
WHERE r.shard = w.shard AND r.seq = w.seq AND r.shard IN (SELECT shard FROM owned)`;

export const failedAgainSql = (t: Tables) => `
WITH ${owned(t, '$6')}
UPDATE ${t.retry} r
SET attempts = w.attempts, flights = 0, reason = w.reason, next_at = clock_timestamp() + w.next_ms * interval '1 millisecond'
FROM unnest($1::smallint[], $2::bigint[], $3::text[], $4::int[], $5::float8[]) AS w (shard, seq, reason, attempts, next_ms)
WHERE r.shard = w.shard AND r.seq = w.seq AND r.shard IN (SELECT shard FROM owned)`;

export const exhaustedSql = (t: Tables) => `
WITH ${owned(t, '$4')}, dead AS (
  DELETE FROM ${t.retry} r USING unnest($1::smallint[], $2::bigint[], $3::text[]) AS w (shard, seq, reason)
  WHERE r.shard = w.shard AND r.seq = w.seq AND r.shard IN (SELECT shard FROM owned) RETURNING r.*, w.reason AS why)
INSERT INTO ${t.deadLetter} (${COPY}, stamped_at, reason, attempts)
SELECT ${COPY}, stamped_at, why, attempts + 1 FROM dead ON CONFLICT (event_id, destination) DO NOTHING`;

/** The first event of each key is due if it waits behind one that is gone. */
export const promoteSql = (t: Tables) => `
UPDATE ${t.retry} r SET next_at = clock_timestamp()
FROM (SELECT DISTINCT shard, destination, key FROM unnest($1::smallint[], $2::text[], $3::text[]) AS k (shard, destination, key)) k,
LATERAL (SELECT shard, seq FROM ${t.retry} f
  WHERE f.blocks AND f.shard = k.shard AND f.destination = k.destination AND f.key = k.key ORDER BY f.seq LIMIT 1) first
WHERE r.shard = first.shard AND r.seq = first.seq AND r.next_at IS NULL AND r.parked_at IS NULL`;

/** Parameters 1 to 6: event ids, destination, type, key, died after, died before; NULL does not matter. */
const chosen = (
  diedAt: string,
) => `($1::uuid[] IS NULL OR d.event_id = ANY($1)) AND ($2::text IS NULL OR d.destination = $2)
  AND ($3::text IS NULL OR d.type = $3) AND ($4::text IS NULL OR d.key = $4)
  AND ($5::timestamptz IS NULL OR d.${diedAt} > $5) AND ($6::timestamptz IS NULL OR d.${diedAt} < $6)`;
const DEAD = chosen('died_at');
const PARKED = `d.parked_at IS NOT NULL AND ${chosen('parked_at')}`;

export const deadLettersSql = (t: Tables) => {
  const letter = `d.event_id AS "eventId", d.destination, d.type, d.key, d.payload, d.headers, d.reason, d.attempts,
  d.created_at AS "createdAt"`;
  return `
(SELECT ${letter}, d.died_at AS "diedAt", false AS parked FROM ${t.deadLetter} d
 WHERE ${DEAD} ORDER BY d.died_at DESC, d.event_id LIMIT $7)
UNION ALL
(SELECT ${letter}, d.parked_at, true FROM ${t.retry} d WHERE ${PARKED} ORDER BY d.parked_at DESC, d.event_id LIMIT $7)
ORDER BY "diedAt" DESC, "eventId" LIMIT $7`;
};

/** An event that was refused in its only attempt was delivered to nobody: its age begins anew for those who judge it. */
const RESTAMPED = `CASE WHEN reason LIKE 'rejected:%' AND attempts = 1 THEN clock_timestamp() ELSE stamped_at END`;

/** Dead ones do not block their keys, nor are they blocked: they have lost their place. Parked ones have kept it. */
export const requeueSql = (t: Tables) => `
WITH chosen AS (DELETE FROM ${t.deadLetter} d WHERE ${DEAD} RETURNING d.*),
back AS (
  INSERT INTO ${t.retry} (${COPY}, stamped_at, reason, attempts, blocks, next_at)
  SELECT ${COPY}, ${RESTAMPED}, 'requeued', 0, false, clock_timestamp() FROM chosen ORDER BY died_at RETURNING event_id),
freed AS (
  UPDATE ${t.retry} d SET stamped_at = ${RESTAMPED}, parked_at = NULL, next_at = clock_timestamp(), attempts = 0, reason = 'requeued'
  WHERE ${PARKED} RETURNING event_id)
SELECT event_id FROM back UNION ALL SELECT event_id FROM freed`;

/** The next event of a parked key is due, unless it is parked, too, or has its time. */
export const discardSql = (t: Tables) => `
WITH dead AS (DELETE FROM ${t.deadLetter} d WHERE ${DEAD} RETURNING event_id),
freed AS (DELETE FROM ${t.retry} d WHERE ${PARKED} RETURNING event_id, shard, destination, key, seq),
next AS (
  UPDATE ${t.retry} r SET next_at = clock_timestamp() FROM freed, LATERAL (
    SELECT shard, seq FROM ${t.retry} f
    WHERE f.blocks AND f.shard = freed.shard AND f.destination = freed.destination AND f.key = freed.key
      AND NOT EXISTS (SELECT FROM freed g WHERE g.shard = f.shard AND g.seq = f.seq) ORDER BY f.seq LIMIT 1) first
  WHERE r.shard = first.shard AND r.seq = first.seq AND r.next_at IS NULL AND r.parked_at IS NULL)
SELECT event_id FROM dead UNION ALL SELECT event_id FROM freed`;
