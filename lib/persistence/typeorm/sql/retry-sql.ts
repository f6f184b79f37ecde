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

type DeathColumn = 'died_at' | 'parked_at';

const LETTER = `d.event_id AS "eventId", d.destination, d.type, d.key, d.reason, d.attempts, d.created_at AS "createdAt"`;

/** Each kind by the index on its time, backwards. */
const lettersSql = (
  t: Tables,
  more: (diedAt: DeathColumn) => string,
  behind: (diedAt: DeathColumn) => string = () => 'true',
) => {
  const part = (table: string, diedAt: DeathColumn, wanted: string) => `
(SELECT ${LETTER}, d.${diedAt} AS "diedAt", ${diedAt === 'parked_at'} AS parked, ${more(diedAt)} FROM ${table} d
 WHERE ${wanted} AND ${behind(diedAt)} ORDER BY d.${diedAt} DESC, d.event_id, d.destination LIMIT $7)`;
  return `${part(t.deadLetter, 'died_at', DEAD)} UNION ALL ${part(t.retry, 'parked_at', PARKED)}
ORDER BY "diedAt" DESC, "eventId", destination LIMIT $7`;
};

export const deadLettersSql = (t: Tables) => lettersSql(t, () => 'd.payload, d.headers');

/** Parameters 8 to 10: when the last letter of the page before died, its event id and destination. */
export const listDeadLettersSql = (t: Tables) =>
  lettersSql(
    t,
    (diedAt) => `to_char(d.${diedAt} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS place`,
    (diedAt) => `($8::timestamptz IS NULL OR d.${diedAt} <= $8
  AND (d.${diedAt} < $8 OR (d.event_id, d.destination) > ($9::uuid, $10::text)))`,
  );

/** An event that was refused in its only attempt was delivered to nobody: its age begins anew for those who judge it. */
const RESTAMPED = `CASE WHEN reason LIKE 'rejected:%' AND attempts = 1 THEN clock_timestamp() ELSE stamped_at END`;

/**
 * The oldest of both kinds, parameter 8 at most, of those that were there at the time of parameter 7. Who waits for the lock of one
 * that another operator has just taken gets the next one in its place.
 */
const oldest = (t: Tables) => `dead AS MATERIALIZED (
  SELECT d.event_id, d.destination FROM ${t.deadLetter} d WHERE ${DEAD} AND d.died_at <= $7::timestamptz
  ORDER BY d.died_at, d.event_id LIMIT $8::bigint FOR UPDATE),
parked AS MATERIALIZED (
  SELECT d.shard, d.seq FROM ${t.retry} d WHERE ${PARKED} AND d.parked_at <= $7::timestamptz
  ORDER BY d.parked_at, d.event_id LIMIT $8::bigint - (SELECT count(*) FROM dead) FOR UPDATE)`;
const IS_DEAD = 'd.event_id = dead.event_id AND d.destination = dead.destination';
const IS_PARKED = 'd.shard = parked.shard AND d.seq = parked.seq';
const count = (...parts: readonly string[]) =>
  `SELECT (${parts.map((part) => `(SELECT count(*) FROM ${part})`).join(' + ')})::int AS events`;

/** Dead ones do not block their keys, nor are they blocked: they have lost their place. Parked ones have kept it. */
export const requeueSql = (t: Tables) => `
WITH ${oldest(t)},
chosen AS (DELETE FROM ${t.deadLetter} d USING dead WHERE ${IS_DEAD} RETURNING d.*),
back AS (
  INSERT INTO ${t.retry} (${COPY}, stamped_at, reason, attempts, blocks, next_at)
  SELECT ${COPY}, ${RESTAMPED}, 'requeued', 0, false, clock_timestamp() FROM chosen ORDER BY died_at RETURNING 1),
freed AS (
  UPDATE ${t.retry} d SET stamped_at = ${RESTAMPED}, parked_at = NULL, next_at = clock_timestamp(), attempts = 0, reason = 'requeued'
  FROM parked WHERE ${IS_PARKED} RETURNING 1)
${count('back', 'freed')}`;

/** The next event of a parked key is due, unless it is parked, too, or has its time. */
export const discardSql = (t: Tables) => `
WITH ${oldest(t)},
forgotten AS (DELETE FROM ${t.deadLetter} d USING dead WHERE ${IS_DEAD} RETURNING 1),
freed AS (DELETE FROM ${t.retry} d USING parked WHERE ${IS_PARKED} RETURNING d.shard, d.destination, d.key, d.seq),
next AS (
  UPDATE ${t.retry} r SET next_at = clock_timestamp() FROM freed, LATERAL (
    SELECT shard, seq FROM ${t.retry} f
    WHERE f.blocks AND f.shard = freed.shard AND f.destination = freed.destination AND f.key = freed.key
      AND NOT EXISTS (SELECT FROM freed g WHERE g.shard = f.shard AND g.seq = f.seq) ORDER BY f.seq LIMIT 1) first
  WHERE r.shard = first.shard AND r.seq = first.seq AND r.next_at IS NULL AND r.parked_at IS NULL)
${count('forgotten', 'freed')}`;
