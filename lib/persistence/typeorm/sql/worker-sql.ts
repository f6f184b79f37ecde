import type { Tables } from '../identifiers.js';

export const heartbeatSql = (t: Tables) => `
INSERT INTO ${t.worker} (id, relays) VALUES ($1, $2)
ON CONFLICT (id) DO UPDATE SET heartbeat_at = clock_timestamp(), relays = excluded.relays`;

/** Forgets a worker that has ended, and those that were not heard of for a day. */
export const retireSql = (t: Tables) => `
DELETE FROM ${t.worker} WHERE id = $1 OR heartbeat_at < clock_timestamp() - interval '1 day'`;
