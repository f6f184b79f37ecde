import type { Tables } from '../identifiers.js';

/** A delivery waits no longer for another one of the same message that is being processed. */
const LOCK_TIMEOUT_MS = 2_000;

/**
 * Notes message $2 of consumer $1, unless it is there. A transaction that is about to note it is waited for. What has failed
 * before is forgotten with it. $3 is its stamp, $4 the window in milliseconds, $5 whether older ones are taken: those are noted as if
 * they were just within it, so that they are remembered for a day like all others.
 */
export const noteSql = (t: Tables) => `
WITH limited AS MATERIALIZED (SELECT set_config('lock_timeout', '${LOCK_TIMEOUT_MS}', true)),
message AS MATERIALIZED (
  SELECT coalesce($3::timestamptz, clock_timestamp()) AS stamp,
    clock_timestamp() - $4::float8 * interval '1 millisecond' AS oldest FROM limited),
fresh AS MATERIALIZED (
  SELECT greatest(stamp, oldest) AS stamp FROM message WHERE $5::boolean OR stamp >= oldest),
noted AS (
  INSERT INTO ${t.inbox} (consumer, message_id, stamp) SELECT $1::text, $2::text, stamp FROM fresh
  ON CONFLICT (consumer, message_id) DO NOTHING RETURNING 1),
recovered AS (
  DELETE FROM ${t.inboxFailure} WHERE consumer = $1 AND message_id = $2)
SELECT EXISTS (SELECT FROM fresh) AS fresh, EXISTS (SELECT FROM noted) AS noted`;

/** The handler's own statements wait as long as they always do. */
export const endLimitSql = 'SET LOCAL lock_timeout TO DEFAULT';

/** Whether an old message was processed when it was not old yet. */
export const isNotedSql = (t: Tables) => `
SELECT 1 FROM ${t.inbox} WHERE consumer = $1 AND message_id = $2`;

export const failSql = (t: Tables) => `
INSERT INTO ${t.inboxFailure} AS f (consumer, message_id, failures, error) VALUES ($1, $2, 1, $3)
ON CONFLICT (consumer, message_id) DO UPDATE
SET failures = f.failures + 1, error = excluded.error, failed_at = clock_timestamp()
RETURNING failures`;

const DAY = `interval '1 day'`;

/** A day later than they are refused by their age, so that no redelivery meets a table that has just forgotten it. */
export const forgetInboxSql = (t: Tables) => `
WITH old AS (
  SELECT consumer, message_id FROM ${t.inbox}
  WHERE stamp < (SELECT clock_timestamp() - $1::float8 * interval '1 millisecond' - ${DAY})
  ORDER BY stamp LIMIT $2 FOR UPDATE SKIP LOCKED),
failures AS (
  DELETE FROM ${t.inboxFailure}
  WHERE failed_at < (SELECT clock_timestamp() - $1::float8 * interval '1 millisecond' - ${DAY})),
gone AS (
  DELETE FROM ${t.inbox} i USING old WHERE i.consumer = old.consumer AND i.message_id = old.message_id RETURNING 1)
SELECT count(*)::int AS count FROM gone`;

/** @returns whether the row of this kind was new */
export const barrierSql = (t: Tables) => `
INSERT INTO ${t.barrier} (saga_id, step, op) VALUES ($1, $2, $3)
ON CONFLICT (saga_id, step, op) DO NOTHING RETURNING 1`;

export const hasUndoSql = (t: Tables) => `
SELECT 1 FROM ${t.barrier} WHERE saga_id = $1 AND step = $2 AND op = 'undo'`;

/** Whether a saga is older than everything that is remembered, its own rows left out. */
export const isForgottenSql = (t: Tables) => `
SELECT coalesce((SELECT at FROM ${t.barrier} WHERE saga_id <> $1 ORDER BY at LIMIT 1) > $2::timestamptz, true) AS forgotten`;

export const forgetBarrierSql = (t: Tables) => `
WITH old AS (
  SELECT saga_id, step, op FROM ${t.barrier}
  WHERE at < (SELECT clock_timestamp() - $1::float8 * interval '1 millisecond')
  ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED),
gone AS (
  DELETE FROM ${t.barrier} b USING old
  WHERE b.saga_id = old.saga_id AND b.step = old.step AND b.op = old.op RETURNING 1)
SELECT count(*)::int AS count FROM gone`;
