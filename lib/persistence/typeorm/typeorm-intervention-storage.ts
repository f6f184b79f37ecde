import type { DataSource } from 'typeorm';
import { isUuid } from '../../events/uuid-v7.js';
import {
  factsOfCancel,
  InterventionStorage,
  type CancelOutcome,
  type Intervention,
} from '../../saga/intervention-storage.js';
import type { AuditFilter, AuditRecord, NewAudit } from '../../saga/state/audit.js';
import { isEnded, type SagaStatus } from '../../saga/state/saga-status.js';
import { note } from './audit.js';
import { engineTransaction, type Query } from './engine-transaction.js';
import type { Tables } from './identifiers.js';
import * as sql from './sql/admin-sql.js';
import { requestCancelSql } from './sql/saga-sql.js';

interface Settings {
  readonly engine: DataSource;
  readonly tables: Tables;
}

/** A bigint comes as a text. */
interface Row {
  readonly epoch: string;
}

interface Cancelling extends Row {
  readonly status: SagaStatus;
  readonly known: boolean;
}

/** Changes by operators, in PostgreSQL: each in one transaction, which holds the row of its saga. */
export class TypeOrmInterventionStorage extends InterventionStorage {
  constructor(private readonly settings: Settings) {
    super();
  }

  async intervene(intervention: Intervention): Promise<boolean> {
    try {
      await this.inTransaction((query) => this.store(query, intervention));
      return true;
    } catch (error) {
      if (error instanceof Moved) return false;
      throw error;
    }
  }

  cancel(sagaId: string, audit: NewAudit): Promise<CancelOutcome> {
    if (!isUuid(sagaId)) return Promise.resolve({ answer: 'not_found' });
    const { tables } = this.settings;
    return this.inTransaction(async (query) => {
      const [row] = await query<Cancelling[]>(sql.cancellingSql(tables), [sagaId]);
      if (!row) return { answer: 'not_found' };
      const { status: before, epoch, known } = row;
      const [rows = []] = await query<unknown[][]>(requestCancelSql(tables), [sagaId]);
      if (rows.length === 0) return { answer: 'too_late', before };
      const facts = factsOfCancel({ status: before, epoch: Number(epoch) });
      if (!known) await note(query, tables, { ...audit, ...facts });
      return { answer: 'requested', before };
    });
  }

  async audits(
    { target, actor, action, before }: AuditFilter,
    limit: number,
  ): Promise<readonly AuditRecord[]> {
    const { engine, tables } = this.settings;
    const wanted = [target, actor, action, before].map((value) => value ?? null);
    const rows = await engine.query<AuditRecord[]>(sql.auditsSql(tables), [...wanted, limit]);
    return rows.map((row) => ({ ...row, at: new Date(row.at) }));
  }

  private async store(query: Query, { sagaId, seen, entries, status, ...rest }: Intervention): Promise<void> {
    const { tables } = this.settings;
    const taking = [sagaId, seen.epoch, seen.status, status, rest.launchesPivot];
    const [taken = []] = await query<Row[][]>(sql.takeSql(tables), taking);
    const epoch = taken[0]?.epoch;
    if (epoch === undefined) throw new Moved();
    const columns = [
      entries.map(({ kind }) => kind),
      entries.map(({ step }) => step),
      entries.map(({ data }) => data),
    ];
    const written = await query<unknown[]>(sql.interveneSql(tables), [sagaId, seen.seq, epoch, ...columns]);
    if (written.length < entries.length) throw new Moved();
    if (isEnded(seen.status) && !isEnded(status)) await query(sql.forgetEndSql(tables), [sagaId]);
    await note(query, tables, rest.audit);
  }

  private inTransaction<T>(work: (query: Query) => Promise<T>): Promise<T> {
    return engineTransaction(this.settings.engine, work);
  }
}

/** The saga is not what it was when it was read: nothing is stored. */
class Moved extends Error {}
