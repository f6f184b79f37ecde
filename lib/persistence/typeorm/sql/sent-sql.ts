import { SENT_LEAVES } from '../sent-leaves.js';
import type { Tables } from '../identifiers.js';
import { EVENT_COLUMNS } from './event-columns.js';

const NOW_MS = `extract(epoch FROM clock_timestamp()) * 1000`;

/** Keeps the rows of the part `gone`. @param span the parameter that is the time of one leaf, in milliseconds */
export const keepSql = (t: Tables, span: string, id: string) => `
INSERT INTO ${t.sent} (leaf, id, ${EVENT_COLUMNS}, created_at)
SELECT (floor(${NOW_MS} / ${span}::float8)::bigint % ${SENT_LEAVES})::smallint, ${id}, ${EVENT_COLUMNS}, created_at FROM gone`;

export const nextLeafSql = `
SELECT ((floor(${NOW_MS} / $1::float8)::bigint + 1) % ${SENT_LEAVES})::int AS leaf`;

/** Whether a leaf has something, and something that is younger than the retention: as when the option was changed. */
export const leafSql = (leaf: string) => `
SELECT EXISTS (SELECT FROM ${leaf}) AS filled, EXISTS (
  SELECT FROM ${leaf} WHERE sent_at > clock_timestamp() - $1::float8 * interval '1 millisecond') AS young`;

/** One that was tried again has no id any more. The rest tells apart what was published several times. */
const WRITTEN = `s.created_at, coalesce(s.id, 9223372036854775807), s.leaf, s.ctid`;

/**
 * Behind everything that is pending, in the order in which they were written first. Parameter 7: only what was published by then;
 * 8: at most so many; 9 to 12: behind the last one of the part before, as this part tells its own.
 */
export const republishSql = (t: Tables) => `
WITH chosen AS MATERIALIZED (
SELECT s.*, row_number() OVER (ORDER BY ${WRITTEN}) AS n, s.created_at::text AS "createdAt",
  coalesce(s.id, 9223372036854775807)::text AS "lastId", s.ctid::text AS place FROM ${t.sent} s
WHERE ($1::uuid[] IS NULL OR s.event_id = ANY($1)) AND ($2::text IS NULL OR s.destination = $2)
  AND ($3::text IS NULL OR s.type = $3) AND ($4::text IS NULL OR s.key = $4)
  AND ($5::timestamptz IS NULL OR s.sent_at > $5) AND ($6::timestamptz IS NULL OR s.sent_at < $6)
  AND s.sent_at <= $7::timestamptz
  AND ($9::timestamptz IS NULL OR (${WRITTEN}) > ($9, $10::bigint, $11::smallint, $12::tid))
ORDER BY ${WRITTEN} LIMIT $8::bigint),
again AS (
INSERT INTO ${t.outbox} (${EVENT_COLUMNS}, created_at)
SELECT ${EVENT_COLUMNS}, created_at FROM chosen ORDER BY n RETURNING 1)
SELECT (SELECT count(*)::int FROM again) AS count, "createdAt", "lastId", leaf, place FROM chosen ORDER BY n DESC LIMIT 1`;
