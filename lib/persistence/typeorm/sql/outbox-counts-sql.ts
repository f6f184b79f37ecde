import type { Tables } from '../identifiers.js';

/** Pending events of each shard, at most as many as its limit says, by the primary key. */
export const pendingSql = (t: Tables) => `
SELECT p.shard, c.* FROM unnest($1::smallint[], $2::int[]) AS p (shard, most), LATERAL (
  SELECT destination, count(*)::int AS count, extract(epoch FROM clock_timestamp() - min(created_at))::float8 * 1000 AS "ageMs"
  FROM (SELECT destination, created_at FROM ${t.outbox} o WHERE o.shard = p.shard ORDER BY o.shard, o.id LIMIT p.most) o
  GROUP BY destination) c`;

/** Events in trouble and dead ones by destination, at most $1 of each kind. */
export const troubleSql = (t: Tables) => `
SELECT destination, count(*)::int AS count, 'retrying' AS kind
FROM (SELECT destination FROM ${t.retry} WHERE parked_at IS NULL LIMIT $1) r GROUP BY destination
UNION ALL
SELECT destination, count(*)::int, 'dead' FROM (
  (SELECT destination FROM ${t.deadLetter} LIMIT $1)
  UNION ALL (SELECT destination FROM ${t.retry} WHERE parked_at IS NOT NULL LIMIT $1)) d GROUP BY destination`;
