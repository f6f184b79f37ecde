import { OWN_AGE_MS } from '../../../saga/saga-storage.js';
import type { Tables } from '../identifiers.js';
import { EVENT_COLUMNS, eventsFrom } from './outbox-sql.js';

const CLAIMABLE = `'pending', 'running', 'compensating'`;
/** What the owner of a saga is told of it. */
const CLAIMED = `i.id AS "sagaId", i.name, i.version, i.epoch, i.status, i.launch, i.correlation_id AS "correlationId",
  i.cancel_requested_at IS NOT NULL AS "cancelRequested",
  extract(epoch FROM clock_timestamp() - i.started_at) * 1000 AS "ageMs",
  extract(epoch FROM i.deadline_at - clock_timestamp()) * 1000 AS "deadlineInMs"`;
/** Room for those that peers take between the choice and the lock. */
const CANDIDATES_PER_CLAIM = 8;

/**
 * Creates a saga with its payload, and its key when it has one. Locks nothing that exists; a concurrent caller with the
 * same key waits for this transaction and then finds the key taken. Returns no row when the key is taken.
 */
export const createSagaSql = (t: Tables) => `
WITH key AS (
  INSERT INTO ${t.key} (name, key, input_hash, saga_id)
  SELECT $2, $5::text, $6, $1 WHERE $5::text IS NOT NULL
  ON CONFLICT (name, key) DO NOTHING
  RETURNING saga_id
), instance AS (
  INSERT INTO ${t.instance} (id, name, version, status, epoch, owner, launch, correlation_id, tags, pivot_launched, deadline_at)
  SELECT $1::uuid, $2, $3::int, CASE WHEN $7::text IS NULL THEN 'pending' ELSE 'running' END,
         CASE WHEN $7::text IS NULL THEN 0 ELSE 1 END, $7, $8::text[], $9, $10::jsonb, $11::boolean,
         clock_timestamp() + $12::float8 * interval '1 millisecond'
  WHERE $5::text IS NULL OR EXISTS (SELECT FROM key)
  RETURNING id
), payload AS (
  INSERT INTO ${t.payload} (saga_id, input) SELECT id, $4 FROM instance
)
SELECT id FROM instance`;

export const findKeySql = (t: Tables) => `
SELECT saga_id AS "sagaId", input_hash AS "inputHash" FROM ${t.key} WHERE name = $1 AND key = $2`;

/**
 * Stores a write under its fence. The row lock on the saga orders this statement against claims: whoever claims
 * meanwhile waits, and after a claim the epoch does not match, so nothing is written and no row comes back. When the
 * entries are there already, the write was stored before, and nothing of it is stored again. A write that launches the
 * pivot or completes the saga is refused when a cancel was requested: the row that is locked decides between the two.
 * Returns how many entries were new, and whether a cancel was requested.
 */
export const appendSql = (t: Tables, withEvents: boolean) => `
WITH held AS (
  SELECT id, cancel_requested_at IS NOT NULL AS cancelled
  FROM ${t.instance} WHERE id = $1 AND epoch = $2 FOR NO KEY UPDATE
), allowed AS (
  SELECT id, cancelled FROM held WHERE NOT (cancelled AND ($9::boolean OR $4::text IS NOT DISTINCT FROM 'completed'))
), facts AS (
  INSERT INTO ${t.journal} (saga_id, seq, epoch, kind, step, attempt, launch, data)
  SELECT allowed.id, f.seq, $2, f.kind, f.step, f.attempt, f.launch, f.data
  FROM allowed, json_to_recordset($3::json) AS f (seq int, kind text, step text, attempt int, launch text[], data text)
  ON CONFLICT (saga_id, seq) DO NOTHING
  RETURNING seq
), fresh AS (
  SELECT id, cancelled FROM allowed WHERE json_array_length($3::json) = 0 OR EXISTS (SELECT FROM facts)
), changed AS (
  UPDATE ${t.instance} i
  SET status = coalesce($4, i.status),
      owner = CASE WHEN $5::boolean OR $8::boolean THEN NULL ELSE i.owner END,
      ended_at = CASE WHEN $5::boolean THEN clock_timestamp() END,
      pivot_launched = i.pivot_launched OR $9::boolean,
      wake_at = CASE WHEN fresh.cancelled AND coalesce($4, i.status) <> 'compensating' AND $10::float8 IS NOT NULL
                     THEN clock_timestamp()
                     ELSE clock_timestamp() + $10::float8 * interval '1 millisecond' END
  FROM fresh WHERE i.id = fresh.id AND ($4::text IS NOT NULL OR $8::boolean OR $9::boolean)
), payload AS (
  UPDATE ${t.payload} p SET results = $6, error = $7 FROM fresh WHERE p.saga_id = fresh.id AND $5::boolean
)${
  withEvents
    ? `, written AS (
  INSERT INTO ${t.outbox} (${EVENT_COLUMNS}) ${eventsFrom(11)} WHERE EXISTS (SELECT FROM fresh) ORDER BY ordinality
)`
    : ''
}
SELECT (SELECT count(*)::int FROM facts) AS stored, cancelled FROM held`;

/**
 * Claims sagas that nobody runs. First it chooses, without a lock, on one snapshot; then it locks what still has the
 * epoch that was seen. Were it one step, a row that a peer has just claimed would be checked again against this
 * statement's old view of the workers, in which the peer's row is not joined, and be taken for an orphan (seen: 280 of
 * 300 sagas run by two processes). SKIP LOCKED passes over rows that a write or a transactional step holds; they are
 * found again a second later. Uses the partial index on claimable sagas. The caller reads the journal in a later
 * statement: this one's snapshot may be older than the old owner's last entry. Sagas that wait have an index of their
 * own, by the time at which they are due, so that those that are not due cost nothing.
 */
export const claimSql = (t: Tables) => `
WITH candidate AS MATERIALIZED (
  (SELECT i.id, i.epoch, w.heartbeat_at
  FROM ${t.instance} i LEFT JOIN ${t.worker} w ON w.id = i.owner
  WHERE i.status IN (${CLAIMABLE}) AND ($7::uuid IS NULL OR i.id = $7)
    AND (i.name, i.version) IN (SELECT * FROM unnest($3::text[], $4::int[]))
    AND ((i.owner IS NULL AND (i.wake_at IS NULL OR i.wake_at <= clock_timestamp()))
      OR (i.owner <> $1 AND (w.id IS NULL OR w.heartbeat_at < clock_timestamp() - $2 * interval '1 millisecond'))
      OR (i.owner = $1 AND (i.id = ANY($8::uuid[]) OR (i.id <> ALL($5::uuid[])
        AND i.started_at < clock_timestamp() - ${OWN_AGE_MS} * interval '1 millisecond'))))
  ORDER BY i.id LIMIT $6 * ${CANDIDATES_PER_CLAIM})
  UNION ALL
  (SELECT i.id, i.epoch, NULL
  FROM ${t.instance} i
  WHERE i.status = 'waiting' AND i.wake_at <= clock_timestamp() AND ($7::uuid IS NULL OR i.id = $7)
    AND (i.name, i.version) IN (SELECT * FROM unnest($3::text[], $4::int[]))
  ORDER BY i.wake_at LIMIT $6 * ${CANDIDATES_PER_CLAIM})
), free AS (
  SELECT i.id, c.heartbeat_at FROM candidate c JOIN ${t.instance} i ON i.id = c.id AND i.epoch = c.epoch
  WHERE i.status IN (${CLAIMABLE}, 'waiting')
  ORDER BY i.id LIMIT $6 FOR NO KEY UPDATE OF i SKIP LOCKED
)
UPDATE ${t.instance} i
SET owner = $1, epoch = i.epoch + 1, wake_at = NULL,
    status = CASE WHEN i.status IN ('pending', 'waiting') THEN 'running' ELSE i.status END
FROM free WHERE i.id = free.id
RETURNING ${CLAIMED}, extract(epoch FROM clock_timestamp() - free.heartbeat_at) * 1000 AS "silentMs"`;

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

/** By primary key. */
export const cancelRequestedSql = (t: Tables) => `
SELECT id FROM ${t.instance} WHERE id = ANY($1::uuid[]) AND status = 'running' AND cancel_requested_at IS NOT NULL`;

/** Takes a saga that turns back or has turned back, whoever owns it; in one transaction with `lateEntrySql`. */
export const reopenSql = (t: Tables) => `
UPDATE ${t.instance} i
SET owner = $2, epoch = i.epoch + 1, status = 'compensating', ended_at = NULL, wake_at = NULL
WHERE i.id = $1 AND i.status IN ('compensating', 'compensated', 'failed')
RETURNING ${CLAIMED}, NULL AS "silentMs"`;

/** A statement of its own, after the row lock: only then is the old owner's last entry in the snapshot. */
export const lateEntrySql = (t: Tables) => `
INSERT INTO ${t.journal} (saga_id, seq, epoch, kind, step, attempt, data)
SELECT $1, coalesce(max(seq), 0) + 1, $2, 'late_completed', $3, 0, $4 FROM ${t.journal} WHERE saga_id = $1`;

export const inputsSql = (t: Tables) =>
  `SELECT saga_id AS "sagaId", input FROM ${t.payload} WHERE saga_id = ANY($1::uuid[])`;

export const journalSql = (t: Tables) => `
SELECT saga_id AS "sagaId", seq, epoch, kind, step, attempt, launch, data,
  extract(epoch FROM clock_timestamp() - at) * 1000 AS "ageMs" FROM ${t.journal}
WHERE saga_id = ANY($1::uuid[]) ORDER BY saga_id, seq`;

/** By primary key. */
export const endedSql = (t: Tables) => `
SELECT w.id FROM unnest($1::uuid[]) AS w (id) LEFT JOIN ${t.instance} i ON i.id = w.id
WHERE i.id IS NULL OR i.status IN ('completed', 'compensated', 'failed', 'parked')`;

export const findSagaSql = (t: Tables) => `
SELECT i.id AS "sagaId", i.name, i.version, i.status, i.tags, i.correlation_id AS "correlationId",
  i.started_at AS "startedAt", i.ended_at AS "endedAt", p.results, p.error
FROM ${t.instance} i JOIN ${t.payload} p ON p.saga_id = i.id WHERE i.id = $1`;
