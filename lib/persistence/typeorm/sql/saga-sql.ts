import { OWN_AGE_MS } from '../../../saga/saga-storage.js';
import type { SagaStatus } from '../../../saga/state/saga-status.js';
import type { Tables } from '../identifiers.js';

const CLAIMABLE = `'pending', 'running', 'compensating'`;
/** Asked once: an index can look for it then. As it stands, every row would be asked again (seen: 100,000 of them a second). */
const NOW = '(SELECT clock_timestamp())';
/** What the owner of a saga is told of it. */
const CLAIMED = `i.id AS "sagaId", i.name, i.version, i.definition, i.epoch, i.status, i.launch, i.correlation_id AS "correlationId",
  i.cancel_requested_at IS NOT NULL AS "cancelRequested", i.signal_seq AS "signalSeq",
  extract(epoch FROM clock_timestamp() - i.started_at) * 1000 AS "ageMs",
  extract(epoch FROM i.deadline_at - clock_timestamp()) * 1000 AS "deadlineInMs"`;
/** Room for those that peers take between the choice and the lock. */
const CANDIDATES_PER_CLAIM = 8;

/** By primary key. */
export const takenKeysSql = (t: Tables) => `
SELECT k.name, k.key, k.input_hash AS "inputHash", k.saga_id AS "sagaId"
FROM unnest($1::text[], $2::text[]) AS w (name, key) JOIN ${t.key} k ON k.name = w.name AND k.key = w.key`;

/**
 * Claims sagas that nobody runs. First it chooses, without a lock, on one snapshot; then it locks what still has the
 * epoch that was seen. Were it one step, a row that a peer has just claimed would be checked again against this
 * statement's old view of the workers, and be taken for an orphan (seen: 280 of 300 sagas run by two processes).
 * SKIP LOCKED passes over rows that a write or a transactional step holds; they are found again a second later.
 * It looks up owners, not sagas: the distinct ones, one step each in the index on the owner, then the sagas of nobody and
 * of those that are dead. The sagas of the living cost nothing. Sagas that wait have an index of their own, by the time
 * at which they are due. The caller reads the journal in a later statement: this one's snapshot may be older than the
 * old owner's last entry.
 */
export const claimSql = (t: Tables) => {
  const claimable = `i.status IN (${CLAIMABLE})`;
  // Sagas that were started before definitions were stored have an empty hash.
  const known = `EXISTS (SELECT FROM unnest($2::text[], $3::int[], $8::text[]) AS v (name, version, hash)
    WHERE v.name = i.name AND v.version = i.version AND (v.hash IS NULL OR i.definition IN (v.hash, '')))`;
  const wanted = `($6::uuid IS NULL OR i.id = $6) AND ${known}`;
  const limit = `LIMIT $5 * ${CANDIDATES_PER_CLAIM}`;
  const nextOwner = (after: string) =>
    `(SELECT i.owner FROM ${t.instance} i WHERE ${claimable} AND ${after} ORDER BY i.owner LIMIT 1)`;
  return `
WITH RECURSIVE owner (id) AS (
  SELECT ${nextOwner('i.owner IS NOT NULL')}
  UNION ALL SELECT ${nextOwner('i.owner > o.id')} FROM owner o WHERE o.id IS NOT NULL
), orphaned AS MATERIALIZED (
  SELECT o.id, w.heartbeat_at FROM owner o LEFT JOIN ${t.worker} w ON w.id = o.id
  WHERE o.id <> $1 AND (w.id IS NULL OR w.dead)
), candidate AS MATERIALIZED (
  (SELECT i.id, i.epoch, NULL::timestamptz AS heartbeat_at, false AS orphaned FROM ${t.instance} i
  WHERE ${claimable} AND i.owner IS NULL AND (i.wake_at IS NULL OR i.wake_at <= ${NOW}) AND ${wanted}
  ORDER BY i.id ${limit})
  UNION ALL
  (SELECT i.id, i.epoch, o.heartbeat_at, true FROM orphaned o JOIN ${t.instance} i ON i.owner = o.id
  WHERE ${claimable} AND ${wanted} ${limit})
  UNION ALL
  (SELECT i.id, i.epoch, (SELECT heartbeat_at FROM ${t.worker} WHERE id = $1), false FROM ${t.instance} i
  WHERE ${claimable} AND i.owner = $1 AND (i.id = ANY($7::uuid[]) OR (i.id <> ALL($4::uuid[])
    AND i.started_at < clock_timestamp() - ${OWN_AGE_MS} * interval '1 millisecond')) AND ${wanted} ${limit})
  UNION ALL
  (SELECT i.id, i.epoch, NULL, false FROM ${t.instance} i
  WHERE i.status = 'waiting' AND i.wake_at <= ${NOW} AND ${wanted}
  ORDER BY i.wake_at ${limit})
), free AS (
  SELECT i.id, c.heartbeat_at, c.orphaned FROM candidate c JOIN ${t.instance} i ON i.id = c.id AND i.epoch = c.epoch
  WHERE i.status IN (${CLAIMABLE}, 'waiting')
  ORDER BY i.id LIMIT $5 FOR NO KEY UPDATE OF i SKIP LOCKED
)
UPDATE ${t.instance} i
SET owner = $1, epoch = i.epoch + 1, wake_at = NULL,
    status = CASE WHEN i.status IN ('pending', 'waiting') THEN 'running' ELSE i.status END
FROM free WHERE i.id = free.id
RETURNING ${CLAIMED}, free.orphaned, extract(epoch FROM clock_timestamp() - free.heartbeat_at) * 1000 AS "silentMs"`;
};

/**
 * Asks for a saga to be cancelled, unless its pivot was launched or it has ended. The row lock orders this against the
 * writes of its owner; one that waits is due at once. No row comes back when it is too late.
 */
export const requestCancelSql = (t: Tables) => `
UPDATE ${t.instance}
SET cancel_requested_at = CASE WHEN status = 'compensating' THEN cancel_requested_at
                               ELSE coalesce(cancel_requested_at, clock_timestamp()) END,
    wake_at = CASE WHEN status = 'waiting' THEN clock_timestamp() ELSE wake_at END
WHERE id = $1 AND (status = 'compensating' OR (status IN ('pending', 'running', 'waiting') AND NOT pivot_launched))
RETURNING id`;

/** Whether a signal is of use to the saga: it goes forward, or may again. */
const SIGNALLED = `'pending', 'running', 'waiting', 'parked'`;

/**
 * Stores a signal under the lock of its saga's row, where it counts: a process that parks the saga, or ends a wait, is
 * refused when it has not seen every signal. A saga that waits is due at once, unless it is one that is still to start.
 * No row comes back when there is no such saga.
 */
export const signalSql = (t: Tables) => `
WITH target AS (
  SELECT id, status, signal_seq FROM ${t.instance} WHERE id = $1 FOR NO KEY UPDATE
), stored AS (
  INSERT INTO ${t.signal} (saga_id, seq, id, name, payload)
  SELECT id, signal_seq + 1, $2, $3, $4 FROM target WHERE status IN (${SIGNALLED})
  ON CONFLICT (saga_id, id) DO NOTHING RETURNING saga_id
), counted AS (
  UPDATE ${t.instance} SET signal_seq = signal_seq + 1,
    wake_at = CASE WHEN status = 'waiting' AND epoch > 0 THEN clock_timestamp() ELSE wake_at END
  WHERE id IN (SELECT saga_id FROM stored)
)
SELECT EXISTS (SELECT FROM stored) AS accepted, target.status IN (${SIGNALLED}) AS early,
  EXISTS (SELECT FROM ${t.signal} WHERE saga_id = $1 AND id = $2) AS known FROM target`;

/** By primary key: a saga has few signals. */
export const signalsSql = (t: Tables) => `
SELECT s.saga_id AS "sagaId", s.seq, s.id, s.name, s.payload
FROM unnest($1::uuid[], $2::int[]) AS k (id, seq) JOIN ${t.signal} s ON s.saga_id = k.id AND s.seq > k.seq
ORDER BY s.saga_id, s.seq`;

/** By primary key. */
export const findKeySql = (t: Tables) =>
  `SELECT saga_id AS "sagaId" FROM ${t.key} WHERE name = $1 AND key = $2`;

/** By primary key. */
export const cancelRequestedSql = (t: Tables) => `
SELECT id FROM ${t.instance} WHERE id = ANY($1::uuid[]) AND status = 'running' AND cancel_requested_at IS NOT NULL`;

/** By primary key. */
export const takenSql = (t: Tables) => `
SELECT i.id FROM unnest($1::uuid[], $2::bigint[]) AS held (id, epoch)
JOIN ${t.instance} i ON i.id = held.id AND i.epoch > held.epoch`;

export const saveDefinitionSql = (t: Tables) => `
INSERT INTO ${t.definition} (name, version, hash, plan) VALUES ($1, $2, $3, $4::jsonb)
ON CONFLICT (name, version, hash) DO NOTHING`;

/** By primary key. */
export const findDefinitionSql = (t: Tables) =>
  `SELECT plan::text AS data FROM ${t.definition} WHERE name = $1 AND version = $2 AND hash = $3`;

/** Sagas by status, each kind found by an index of its own and counted among at most $1 of them. */
export const sagaNumbersSql = (t: Tables) => `
SELECT status, count(*)::int AS count FROM (
  (SELECT status FROM ${t.instance} WHERE status = 'waiting' LIMIT $1)
  UNION ALL (SELECT status FROM ${t.instance} WHERE status IN (${CLAIMABLE}) LIMIT $1)
  UNION ALL (SELECT status FROM ${t.instance} WHERE status IN ('failed', 'parked') LIMIT $1)) s GROUP BY status`;

/** Looks at sagas only when there is a definition that no living worker has; at most at $1: without workers it is every saga. */
export const strandedSql = (t: Tables) => `
WITH unworked AS MATERIALIZED (
  SELECT d.name, d.version, d.hash FROM ${t.definition} d WHERE NOT EXISTS (
    SELECT FROM ${t.worker} w, jsonb_to_recordset(w.definitions) AS v (name text, version int, hash text)
    WHERE NOT w.dead AND w.heartbeat_at > clock_timestamp() - w.lease_ms * interval '1 millisecond'
      AND v.name = d.name AND v.version = d.version AND (v.hash IS NULL OR v.hash = d.hash))
)
SELECT name, version, hash, count(*)::int AS count, min(started_at) AS since FROM (
  SELECT u.name, u.version, u.hash, i.started_at
  FROM unworked u JOIN ${t.instance} i ON i.name = u.name AND i.version = u.version AND i.definition = u.hash
  WHERE i.status IN (${CLAIMABLE}, 'waiting') LIMIT $1) s
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3`;

/**
 * Deletes completed and compensated sagas that ended so long ago, by the primary key: ids are UUIDv7, so those that may be
 * old enough are at its beginning ($2 is the first id that cannot be). One that somebody holds is passed over. A batch
 * begins behind the last one ($4), so that what must stay is not read again and again.
 */
export const deleteSagasSql = (t: Tables) => `
WITH old AS MATERIALIZED (
  SELECT id FROM ${t.instance}
  WHERE id > $4 AND id < $2 AND status IN ('completed', 'compensated')
    AND ended_at < clock_timestamp() - $1::float8 * interval '1 millisecond'
  ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED
), payloads AS (DELETE FROM ${t.payload} WHERE saga_id IN (SELECT id FROM old)
), entries AS (DELETE FROM ${t.journal} WHERE saga_id IN (SELECT id FROM old)
), signals AS (DELETE FROM ${t.signal} WHERE saga_id IN (SELECT id FROM old))
DELETE FROM ${t.instance} WHERE id IN (SELECT id FROM old) RETURNING id`;

/** A key of a saga that goes on stays: the same call must not start a second one. */
export const deleteKeysSql = (t: Tables) => `
WITH old AS MATERIALIZED (
  SELECT k.name, k.key FROM ${t.key} k LEFT JOIN ${t.instance} i ON i.id = k.saga_id
  WHERE k.created_at < clock_timestamp() - $1::float8 * interval '1 millisecond'
    AND (i.status IS NULL OR i.status NOT IN (${CLAIMABLE}, 'waiting'))
  ORDER BY k.created_at LIMIT $2 FOR UPDATE OF k SKIP LOCKED
)
DELETE FROM ${t.key} k USING old WHERE k.name = old.name AND k.key = old.key RETURNING k.name`;

/** Takes a saga that turns back or has turned back, whoever owns it; in one transaction with `lateEntrySql`. */
export const reopenSql = (t: Tables) => `
UPDATE ${t.instance} i
SET owner = $2, epoch = i.epoch + 1, status = 'compensating', ended_at = NULL, wake_at = NULL
WHERE i.id = $1 AND i.status IN ('compensating', 'compensated', 'failed')
RETURNING ${CLAIMED}, false AS orphaned, NULL AS "silentMs"`;

/** A statement of its own, after the row lock: only then is the old owner's last entry in the snapshot. */
export const lateEntrySql = (t: Tables) => `
INSERT INTO ${t.journal} (saga_id, seq, epoch, kind, step, attempt, data)
SELECT $1, coalesce(max(seq), 0) + 1, $2, 'late_completed', $3, 0, $4 FROM ${t.journal} WHERE saga_id = $1`;

export const inputsSql = (t: Tables) =>
  `SELECT saga_id AS "sagaId", input, headers FROM ${t.payload} WHERE saga_id = ANY($1::uuid[])`;

export const journalSql = (t: Tables) => `
SELECT saga_id AS "sagaId", seq, epoch, kind, step, attempt, launch, data,
  extract(epoch FROM clock_timestamp() - at) * 1000 AS "ageMs", (extract(epoch FROM at) * 1000)::float8 AS "atMs" FROM ${t.journal}
WHERE saga_id = ANY($1::uuid[]) ORDER BY saga_id, seq`;

/** By primary key. */
export const endedSql = (t: Tables) => `
SELECT w.id FROM unnest($1::uuid[]) AS w (id) LEFT JOIN ${t.instance} i ON i.id = w.id
WHERE i.id IS NULL OR i.status IN ('completed', 'compensated', 'failed', 'parked')`;

const SAGA_ROW = `i.id AS "sagaId", i.name, i.version, i.definition, i.status, i.epoch, i.tags,
  i.cancel_requested_at IS NOT NULL AS "cancelRequested", i.correlation_id AS "correlationId", i.launch,
  i.started_at AS "startedAt", i.ended_at AS "endedAt", p.error`;

export const findSagaSql = (t: Tables) => `
SELECT ${SAGA_ROW}, p.results FROM ${t.instance} i JOIN ${t.payload} p ON p.saga_id = i.id WHERE i.id = $1`;

/**
 * Sagas, the newest first, by the primary key backwards; those that are stuck by an index of their own, which the planner
 * sees because the statuses are part of the text (they are our own words).
 */
export const listSagasSql = (t: Tables, statuses: readonly SagaStatus[]) => `
SELECT ${SAGA_ROW} FROM ${t.instance} i JOIN ${t.payload} p ON p.saga_id = i.id
WHERE i.status IN (${statuses.map((status) => `'${status}'`).join(', ')})
  AND ($1::text IS NULL OR i.name = $1) AND i.tags @> $2::jsonb
  AND ($3::timestamptz IS NULL OR i.started_at > $3) AND ($4::timestamptz IS NULL OR i.started_at < $4)
  AND ($5::uuid IS NULL OR i.id < $5)
ORDER BY i.id DESC LIMIT $6`;
