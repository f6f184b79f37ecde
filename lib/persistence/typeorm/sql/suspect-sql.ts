import type { Tables } from '../identifiers.js';

/** Shards of worker $1 of which something is to be feared. */
export const suspectsSql = (t: Tables) => `
SELECT shard, suspect + unclean::int AS level FROM ${t.shard}
WHERE owner = $1 AND (unclean OR suspect > 0) ORDER BY shard`;

/** Just before the first publish from shards $2 whose last owner died. */
export const accuseSql = (t: Tables) => `
UPDATE ${t.shard} SET suspect = suspect + 1, unclean = false
WHERE owner = $1 AND shard = ANY($2::smallint[]) AND unclean`;

/** Just before event $3 of shard $2 is published alone. */
export const accuseAloneSql = (t: Tables) => `
UPDATE ${t.shard} SET suspect = greatest(suspect, 3), unclean = false, accused_id = $3::bigint,
  accused_times = CASE WHEN accused_id = $3::bigint THEN accused_times + 1 ELSE 1 END
WHERE owner = $1 AND shard = $2 RETURNING accused_times AS times`;

export const acquitSql = (t: Tables) => `
UPDATE ${t.shard} SET suspect = 0, unclean = false, accused_id = NULL, accused_times = 0
WHERE owner = $1 AND shard = ANY($2::smallint[])`;
