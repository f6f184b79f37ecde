import type { EntityManager, QueryRunner } from 'typeorm';
import type { DebugProbe } from '../../runtime/debug-points.js';
import type { Appended, SagaTransaction, SagaWrite } from '../../saga/saga-storage.js';
import type { HandlerTransaction } from './handler-transaction.js';
import type { TransactionScope } from './transaction-scope.js';

interface TransactionSettings {
  readonly scope: TransactionScope;
  readonly reach: DebugProbe;
  /** Called when the connection has gone back. May be called more than once. */
  readonly ended: () => void;
  readonly store: (query: QueryRunner['query'], write: SagaWrite) => Promise<Appended>;
}

/** A transaction of a step, at whose end its journal and its events join it. */
export class TypeOrmSagaTransaction implements SagaTransaction<EntityManager> {
  constructor(
    private readonly transaction: HandlerTransaction,
    private readonly settings: TransactionSettings,
  ) {}

  get tx(): EntityManager {
    return this.transaction.manager;
  }

  run<T>(work: () => Promise<T>): Promise<T> {
    return this.settings.scope.run(this.tx, work);
  }

  async commit(write: SagaWrite): Promise<Appended> {
    await this.transaction.close();
    const { reach, store, ended } = this.settings;
    reach('transaction.fencing');
    // The fence takes the row lock and is the last statement, so a later claim that gets the lock knows the outcome.
    const appended = await store(this.transaction.query, write);
    if (!appended.stored) return appended;
    await this.transaction.commit();
    ended();
    return appended;
  }

  async rollback(handlerSettled: boolean): Promise<void> {
    await this.transaction.rollback(handlerSettled);
    this.settings.ended();
  }
}
