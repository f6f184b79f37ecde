import type { EntityManager, QueryRunner } from 'typeorm';
import type { SagaTransaction, SagaWrite } from '../../saga/saga-storage.js';
import { CommitUnknownError } from '../../saga/state/errors.js';
import { isRefusal } from './sql-state.js';
import type { TransactionScope } from './transaction-scope.js';

/** A transaction of the application's DataSource, at whose end the journal and the events of a step join it. */
export class TypeOrmSagaTransaction implements SagaTransaction<EntityManager> {
  constructor(
    private readonly runner: QueryRunner,
    private readonly scope: TransactionScope,
    private readonly store: (runner: QueryRunner, write: SagaWrite) => Promise<void>,
  ) {}

  get tx(): EntityManager {
    return this.runner.manager;
  }

  run<T>(work: () => Promise<T>): Promise<T> {
    return this.scope.run(this.tx, work);
  }

  async commit(write: SagaWrite): Promise<void> {
    // The fence takes the row lock and is the last statement, so a later claim that gets the lock knows the outcome.
    await this.store(this.runner, write);
    try {
      await this.runner.commitTransaction();
    } catch (error) {
      if (isRefusal(error)) throw error;
      throw new CommitUnknownError('the connection broke during COMMIT', { cause: error });
    }
    await this.runner.release();
  }

  async rollback(handlerSettled: boolean): Promise<void> {
    if (this.runner.isReleased) return;
    if (!handlerSettled) return this.destroy();
    try {
      await this.runner.rollbackTransaction();
      await this.runner.release();
    } catch {
      await this.destroy();
    }
  }

  /** Closes the connection, which ends the transaction on the server, whatever statement is under way. */
  private async destroy(): Promise<void> {
    const runner = this.runner as unknown as { releasePostgresConnection(error: Error): Promise<void> };
    await runner.releasePostgresConnection(new Error('a step of a saga did not end in time'));
  }
}
