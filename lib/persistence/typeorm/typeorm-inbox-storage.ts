import type { DataSource, EntityManager } from 'typeorm';
import {
  InboxStorage,
  type InboxMessage,
  type InboxResult,
  type InboxRules,
} from '../../inbox/inbox-storage.js';
import { handlerTransaction, type HandlerTransactionSettings } from './handler-transaction.js';
import type { Tables } from './identifiers.js';
import { isLockTimeout } from './sql-state.js';
import * as sql from './sql/inbox-sql.js';
import type { TransactionScope } from './transaction-scope.js';

/** What the inbox and the barrier work on. */
export interface TypeOrmInboxSettings extends HandlerTransactionSettings {
  readonly engine: DataSource;
  readonly tables: Tables;
  readonly scope: TransactionScope;
}

/** Processed messages in PostgreSQL, noted on the application's connections, in the transaction of the handler. */
export class TypeOrmInboxStorage extends InboxStorage<EntityManager> {
  constructor(private readonly settings: TypeOrmInboxSettings) {
    super();
  }

  process<T>(
    message: InboxMessage,
    rules: InboxRules,
    work: (tx: EntityManager) => Promise<T>,
  ): Promise<InboxResult<T>> {
    const { scope } = this.settings;
    return handlerTransaction(this.settings, async (manager): Promise<InboxResult<T>> => {
      const known = await this.note(manager, message, rules);
      if (known) return { status: known };
      await manager.query(sql.endLimitSql);
      return { status: 'processed', value: await scope.run(manager, () => work(manager)) };
    }).catch((error: unknown) => {
      if (error instanceof Busy) return { status: 'busy' };
      throw error;
    });
  }

  currentTransaction(): EntityManager | undefined {
    return this.settings.scope.current();
  }

  async fail({ consumer, messageId }: InboxMessage, error: string): Promise<number> {
    const { engine, tables } = this.settings;
    const parameters = [consumer, messageId, error];
    const [row] = await engine.query<{ failures: number }[]>(sql.failSql(tables), parameters);
    return row?.failures ?? 1;
  }

  async forget(windowMs: number, limit: number): Promise<number> {
    const { engine, tables } = this.settings;
    const [row] = await engine.query<{ count: number }[]>(sql.forgetInboxSql(tables), [windowMs, limit]);
    return row?.count ?? 0;
  }

  /** @returns what is known of it already, undefined when it is new and noted now */
  private async note(
    manager: EntityManager,
    { consumer, messageId, stamp }: InboxMessage,
    { windowMs, processesExpired }: InboxRules,
  ): Promise<'duplicate' | 'expired' | undefined> {
    const { tables } = this.settings;
    const parameters = [consumer, messageId, stamp ?? null, windowMs, processesExpired];
    const [row] = await manager
      .query<{ fresh: boolean; noted: boolean }[]>(sql.noteSql(tables), parameters)
      .catch((error: unknown) => {
        if (isLockTimeout(error)) throw new Busy();
        throw error;
      });
    if (row?.noted) return undefined;
    if (row?.fresh) return 'duplicate';
    const noted = await manager.query<unknown[]>(sql.isNotedSql(tables), [consumer, messageId]);
    return noted.length > 0 ? 'duplicate' : 'expired';
  }
}

class Busy extends Error {}
