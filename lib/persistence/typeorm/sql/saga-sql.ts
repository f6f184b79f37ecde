import { OWN_AGE_MS } from '../../../saga/saga-storage.js';
import type { Tables } from '../identifiers.js';
import { EVENT_COLUMNS, eventsFrom } from './outbox-sql.js';

const CLAIMABLE = `'pending', 'running', 'compensating'`;
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
  INSERT INTO ${t.instance} (id, name, version, status, epoch, owner, launch, correlation_id, tags)
  SELECT $1::uuid, $2, $3::int, CASE WHEN $7::text IS NULL THEN 'pending' ELSE 'running' END,
         CASE WHEN $7::text IS NULL THEN 0 ELSE 1 END, $7, $8::text[], $9, $10::jsonb
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
 * entries are there already, the write was stored before, and nothing of it is stored again.
 * Returns how many entries were new.
 */
export const appendSql = (t: Tables, withEvents: boolean) => `
WITH held AS (
  SELECT id FROM ${t.instance} WHERE id = $1 AND epoch = $2 FOR NO KEY UPDATE
), facts AS (
  INSERT INTO ${t.journal} (saga_id, seq, epoch, kind, step, attempt, launch, data)
  SELECT held.id, f.seq, $2, f.kind, f.step, f.attempt, f.launch, f.data
  FROM held, json_to_recordset($3::json) AS f (seq int, kind text, step text, attempt int, launch text[], data text)
  ON CONFLICT (saga_id, seq) DO NOTHING
  RETURNING seq
), fresh AS (
  SELECT id FROM held WHERE json_array_length($3::json) = 0 OR EXISTS (SELECT FROM facts)
), changed AS (
  UPDATE ${t.instance} i
  SET status = coalesce($4, i.status),
      owner = CASE WHEN $5::boolean OR $8::boolean THEN NULL ELSE i.owner END,
      ended_at = CASE WHEN $5::boolean THEN clock_timestamp() END
  FROM fresh WHERE i.id = fresh.id AND ($4::text IS NOT NULL OR $8::boolean)
), payload AS (
  UPDATE ${t.payload} p SET results = $6, error = $7 FROM fresh WHERE p.saga_id = fresh.id AND $5::boolean
)${
  withEvents
    ? `, written AS (
  INSERT INTO ${t.outbox} (${EVENT_COLUMNS}) ${eventsFrom(9)} WHERE EXISTS (SELECT FROM fresh) ORDER BY ordinality
)`
    : ''
}
SELECT (SELECT count(*)::int FROM facts) AS stored FROM held`;

/**
 * Claims sagas that nobody runs. First it chooses, without a lock, on one snapshot; then it locks what still has the
 * epoch that was seen. Were it one step, a row that a peer has just claimed would be checked again against this
 * statement's old view of the workers, in which the peer's row is not joined, and be taken for an orphan (seen: 280 of
 * 300 sagas run by two processes). SKIP LOCKED passes over rows that a write or a transactional step holds; they are
 * found again a second later. Uses the partial index on claimable sagas. The caller reads the journal in a later
 * statement: this one's snapshot may be older than the old owner's last entry.
 */
export const claimSql = (t: Tables) => `
WITH candidate AS MATERIALIZED (
  SELECT i.id, i.epoch, w.heartbeat_at
  FROM ${t.instance} i LEFT JOIN ${t.worker} w ON w.id = i.owner
  WHERE i.status IN (${CLAIMABLE}) AND ($7::uuid IS NULL OR i.id = $7)
    AND (i.name, i.version) IN (SELECT * FROM unnest($3::text[], $4::int[]))
    AND (i.owner IS NULL
      OR (i.owner <> $1 AND (w.id IS NULL OR w.heartbeat_at < clock_timestamp() - $2 * interval '1 millisecond'))
      OR (i.owner = $1 AND (i.id = ANY($8::uuid[]) OR (i.id <> ALL($5::uuid[])
        AND i.started_at < clock_timestamp() - ${OWN_AGE_MS} * interval '1 millisecond'))))
  ORDER BY i.id LIMIT $6 * ${CANDIDATES_PER_CLAIM}
), free AS (
  SELECT i.id, c.heartbeat_at FROM candidate c JOIN ${t.instance} i ON i.id = c.id AND i.epoch = c.epoch
  WHERE i.status IN (${CLAIMABLE})
  ORDER BY i.id LIMIT $6 FOR NO KEY UPDATE OF i SKIP LOCKED
)
UPDATE ${t.instance} i
SET owner = $1, epoch = i.epoch + 1, status = CASE i.status WHEN 'pending' THEN 'running' ELSE i.status END
FROM free WHERE i.id = free.id
RETURNING i.id AS "sagaId", i.name, i.version, i.epoch, i.status, i.launch, i.correlation_id AS "correlationId",
  extract(epoch FROM clock_timestamp() - free.heartbeat_at) * 1000 AS "silentMs"`;

export const inputsSql = (t: Tables) =>
  `SELECT saga_id AS "sagaId", input FROM ${t.payload} WHERE saga_id = ANY($1::uuid[])`;

export const journalSql = (t: Tables) => `
SELECT saga_id AS "sagaId", seq, epoch, kind, step, attempt, launch, data FROM ${t.journal}
WHERE saga_id = ANY($1::uuid[]) ORDER BY saga_id, seq`;

/** By primary key. */
export const endedSql = (t: Tables) => `
SELECT w.id FROM unnest($1::uuid[]) AS w (id) LEFT JOIN ${t.instance} i ON i.id = w.id
WHERE i.id IS NULL OR i.status IN ('completed', 'compensated', 'failed', 'parked')`;

export const findSagaSql = (t: Tables) => `
SELECT i.id AS "sagaId", i.name, i.version, i.status, i.tags, i.correlation_id AS "correlationId",
  i.started_at AS "startedAt", i.ended_at AS "endedAt", p.results, p.error
FROM ${t.instance} i JOIN ${t.payload} p ON p.saga_id = i.id WHERE i.id = $1`;
