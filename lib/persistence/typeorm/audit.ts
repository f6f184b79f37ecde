import type { DataSource } from 'typeorm';
import type { AuditFacts, NewAudit } from '../../saga/state/audit.js';
import { engineTransaction, type Query } from './engine-transaction.js';
import type { Tables } from './identifiers.js';
import { auditSql } from './sql/admin-sql.js';

interface Noted extends NewAudit {
  readonly before?: AuditFacts | null;
  readonly after?: AuditFacts | null;
}

export async function note(query: Query, tables: Tables, audit: Noted): Promise<void> {
  const { actor, action, target, reason, before = null, after = null } = audit;
  const facts = [before, after].map((it) => it && JSON.stringify(it));
  await query(auditSql(tables), [actor, action, target, reason, ...facts]);
}

interface Audited {
  readonly engine: DataSource;
  readonly tables: Tables;
}

/**
 * Changes events as somebody wants it, and notes how many it were: both or neither.
 * @returns how many; where none, nothing is noted
 */
export function audited(
  { engine, tables }: Audited,
  audit: NewAudit,
  change: (query: Query) => Promise<number>,
): Promise<number> {
  return engineTransaction(engine, async (query) => {
    const events = await change(query);
    if (events > 0) await note(query, tables, { ...audit, after: { events } });
    return events;
  });
}
