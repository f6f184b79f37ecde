import type { DataSource } from 'typeorm';
import { CHANGED_AT_ONCE } from '../../outbox/retry-storage.js';
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

/** Changes at most {@link CHANGED_AT_ONCE} events of those that were there at a time, a timestamp of the database. @returns how many */
type Change = (query: Query, upTo: string) => Promise<number>;

/**
 * Changes events as somebody wants it, part by part, and notes how many they were: both or neither.
 * @returns how many; where none, nothing is noted
 */
export async function audited({ engine, tables }: Audited, audit: NewAudit, change: Change): Promise<number> {
  // What is changed may give up again, or be published again, meanwhile: there would be no end.
  const [start] = await engine.query<{ now: string }[]>('SELECT clock_timestamp()::text AS now');
  if (!start) throw new Error('the database does not know the time');
  const part = () =>
    engineTransaction(engine, async (query) => {
      const events = await change(query, start.now);
      if (events > 0) await note(query, tables, { ...audit, after: { events } });
      return events;
    });
  let total = 0;
  for (let events = CHANGED_AT_ONCE; events === CHANGED_AT_ONCE; total += events) events = await part();
  return total;
}
