import type { Statement } from '../engine-connection.js';
import type { Tables } from '../identifiers.js';

/**
 * The first half of the key of every session lock of one schema; the second is a worker's own number, or 0 for the one
 * worker that looks for dead ones.
 */
const lockClass = (t: Tables) => `hashtext('nestjs-sagaz ' || '${t.worker}'::regclass::oid)`;

const OUR_LOCKS = (t: Tables) => `l.locktype = 'advisory' AND l.objsubid = 2 AND l.granted
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND l.classid = ${lockClass(t)}::oid`;

/** A number of its own for a worker. A lock that somebody holds is passed over: then the next number is tried. */
export const lockNumberSql = (t: Tables): Statement => ({
  name: 'sagaz_lock_number',
  text: `SELECT nextval('${t.lockNumber}')::int AS "lockKey"`,
});

/** Held by the session: the server frees it in the moment in which the process is gone. */
export const takeLockSql = (t: Tables): Statement => ({
  name: 'sagaz_take_lock',
  text: `SELECT pg_try_advisory_lock(${lockClass(t)}, $1::int) AS held`,
});

export const freeLockSql = (t: Tables): Statement => ({
  name: 'sagaz_free_lock',
  text: `SELECT pg_advisory_unlock(${lockClass(t)}, $1::int)`,
});

/**
 * One sign of life. `$4` is the number of the session lock that it holds, NULL when it holds none, and then only its
 * lease counts; so it is after a restart of the server, which frees every lock, until the worker has taken its own again.
 * No row comes back for a worker that was declared dead.
 */
export const heartbeatSql = (t: Tables): Statement => ({
  name: 'sagaz_heartbeat',
  text: `
INSERT INTO ${t.worker} AS w (id, relays, lease_ms, lock_key, postmaster_start, definitions)
VALUES ($1, $2, $3, $4::int, CASE WHEN $4::int IS NOT NULL THEN pg_postmaster_start_time() END, $5::jsonb)
ON CONFLICT (id) DO UPDATE SET heartbeat_at = clock_timestamp(), relays = excluded.relays, lease_ms = excluded.lease_ms,
  lock_key = excluded.lock_key, postmaster_start = excluded.postmaster_start, definitions = excluded.definitions
WHERE NOT w.dead
RETURNING id`,
});

/** Workers whose lock is free, though the server has not been restarted since they took it. Takes no lock itself. */
export const lockLostSql = (t: Tables): Statement => ({
  name: 'sagaz_lock_lost',
  text: `
SELECT id FROM ${t.worker} w
WHERE NOT dead AND postmaster_start = pg_postmaster_start_time() AND NOT EXISTS (
  SELECT FROM pg_locks l WHERE ${OUR_LOCKS(t)} AND l.objid = w.lock_key::oid)`,
});

/**
 * Declares dead those whose lock was found free twice (`$1`) and those whose lease has run out, and returns all that are
 * dead; with the number of their lock those that have just been declared.
 */
export const findDeadSql = (t: Tables): Statement => ({
  name: 'sagaz_find_dead',
  text: `
WITH declared AS (
  UPDATE ${t.worker} SET dead = true
  WHERE NOT dead AND ((id = ANY($1::text[]) AND postmaster_start = pg_postmaster_start_time())
    OR heartbeat_at < clock_timestamp() - lease_ms * interval '1 millisecond')
  RETURNING id, lock_key)
SELECT id, lock_key AS "lockKey" FROM declared
UNION ALL SELECT id, NULL FROM ${t.worker} WHERE dead`,
});

/** In the order of the ids, so that of several that ask at once one stays. */
export const stepAsideSql = (t: Tables): Statement => ({
  name: 'sagaz_step_aside',
  text: `
WITH relays AS MATERIALIZED (SELECT id FROM ${t.worker} WHERE relays AND NOT dead ORDER BY id FOR UPDATE)
UPDATE ${t.worker} SET relays = false WHERE id = $1 AND EXISTS (SELECT FROM relays WHERE id <> $1) RETURNING id`,
});

/** The living worker that was known first. */
export const firstSql = (t: Tables): Statement => ({
  name: 'sagaz_first',
  text: `SELECT id FROM ${t.worker} WHERE NOT dead ORDER BY started_at, id LIMIT 1`,
});

export const declareDeadSql = (t: Tables): Statement => ({
  name: 'sagaz_declare_dead',
  text: `UPDATE ${t.worker} SET dead = true WHERE id = $1`,
});

/** Ends the sessions in which dead workers hold their locks: their processes are frozen, or cut off. */
export const endSessionsSql = (t: Tables): Statement => ({
  name: 'sagaz_end_sessions',
  text: `
SELECT pg_terminate_backend(pid) FROM pg_locks l
WHERE ${OUR_LOCKS(t)} AND l.objid = ANY($1::int[]::oid[])`,
});

/** A connection that has died without a word is noticed by the server within a quarter of a minute, not of an hour. */
export const keepAliveSql: Statement = {
  name: 'sagaz_keep_alive',
  text: `SELECT set_config('tcp_keepalives_idle', '5', false), set_config('tcp_keepalives_interval', '2', false),
  set_config('tcp_keepalives_count', '3', false), set_config('tcp_user_timeout', '10000', false)`,
};

/** A worker that was not heard of for a day owns nothing any more, or its sagas are free all the same. */
export const retireSql = (t: Tables): Statement => ({
  name: 'sagaz_retire',
  text: `DELETE FROM ${t.worker} WHERE id = $1 OR heartbeat_at < clock_timestamp() - interval '1 day'`,
});
