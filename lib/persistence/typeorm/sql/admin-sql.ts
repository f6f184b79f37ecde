import type { Tables } from '../identifiers.js';

/**
 * Takes a saga from whoever owns it, if it is still as it was read: by primary key. The row lock waits for a write that is
 * under way; `interveneSql` then sees its entries. A saga that goes on has no end any more. The pivot and a cancel exclude each
 * other.
 */
export const takeSql = (t: Tables) => `
UPDATE ${t.instance}
SET epoch = epoch + 1, owner = NULL, wake_at = NULL, status = $4, pivot_launched = pivot_launched OR $5,
    ended_at = CASE WHEN $4 = 'parked' THEN ended_at END
WHERE id = $1 AND epoch = $2 AND status = $3 AND NOT ($5 AND cancel_requested_at IS NOT NULL) RETURNING epoch`;

/**
 * Writes the entries of an operator behind the last one that was read; none when there are more by now. A statement of its
 * own, after the row lock: only then is the last entry of the old owner in its snapshot.
 */
export const interveneSql = (t: Tables) => `
INSERT INTO ${t.journal} (saga_id, seq, epoch, kind, step, attempt, data)
SELECT $1, $2 + e.place, $3, e.kind, e.step, 0, e.data
FROM unnest($4::text[], $5::text[], $6::text[]) WITH ORDINALITY AS e (kind, step, data, place)
WHERE (SELECT coalesce(max(seq), 0) FROM ${t.journal} WHERE saga_id = $1) = $2
ORDER BY e.place RETURNING seq`;

/** Waits for a write that is under way, and holds the row until the end of the transaction. */
export const cancellingSql = (t: Tables) => `
SELECT status, epoch, cancel_requested_at IS NOT NULL OR status = 'compensating' AS known
FROM ${t.instance} WHERE id = $1 FOR NO KEY UPDATE`;

/** What a saga that goes on had ended with. */
export const forgetEndSql = (t: Tables) =>
  `UPDATE ${t.payload} SET results = NULL, error = NULL WHERE saga_id = $1`;

export const auditSql = (t: Tables) => `
INSERT INTO ${t.audit} (actor, action, target, reason, before, after) VALUES ($1, $2, $3, $4, $5::jsonb, $6::jsonb)`;

/** The latest first: by the primary key backwards, of one target by an index, which holds the beginning of it. */
export const auditsSql = (t: Tables) => `
SELECT id, at, actor, action, target, reason, before, after FROM ${t.audit}
WHERE ($1::text IS NULL OR left(target, 100) = left($1, 100) AND target = $1) AND ($2::text IS NULL OR actor = $2) AND ($3::text IS NULL OR action = $3)
  AND ($4::bigint IS NULL OR id < $4)
ORDER BY id DESC LIMIT $5`;
