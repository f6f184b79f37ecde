import type { EntityManager, QueryRunner } from 'typeorm';
import type { DebugProbe } from '../../runtime/debug-points.js';
import type { Appended, SagaTransaction, SagaWrite } from '../../saga/saga-storage.js';
import { CommitUnknownError, FencedError } from '../../saga/state/errors.js';
import type { CommitWatch } from './commit-watch.js';
import { isRefusal } from './sql-state.js';
import type { TransactionScope } from './transaction-scope.js';

/** What this class knows of TypeORM's query runner beyond its interface. */
interface Internals {
  /** 1 in a transaction, more in nested ones. */
  transactionDepth: number;
  isTransactionActive: boolean;
  releasePostgresConnection(error: Error): Promise<void>;
}

interface TransactionSettings {
  readonly scope: TransactionScope;
  readonly commits: CommitWatch;
  readonly reach: DebugProbe;
  /** Called when the connection has gone back. May be called more than once. */
  readonly ended: () => void;
  readonly store: (query: QueryRunner['query'], write: SagaWrite) => Promise<Appended>;
}

/**
 * A transaction of the application's DataSource, at whose end the journal and the events of a step join it.
 *
 * Once the step has settled, the query runner is sealed: a statement that the step left behind, not awaited, would
 * otherwise run after COMMIT or ROLLBACK, on its own.
 */
export class TypeOrmSagaTransaction implements SagaTransaction<EntityManager> {
  private readonly query: QueryRunner['query'];
  private sealed = false;

  constructor(
    private readonly runner: QueryRunner,
    private readonly settings: TransactionSettings,
  ) {
    this.query = runner.query.bind(runner);
  }

  get tx(): EntityManager {
    return this.runner.manager;
  }

  run<T>(work: () => Promise<T>): Promise<T> {
    return this.settings.scope.run(this.tx, work);
  }

  async commit(write: SagaWrite): Promise<Appended> {
    if (!this.sealed) await this.closeToTheStep();
    const { reach, store } = this.settings;
    reach('transaction.fencing');
    // The fence takes the row lock and is the last statement, so a later claim that gets the lock knows the outcome.
    const appended = await store(this.query, write);
    if (!appended.stored) return appended;
    reach('transaction.committing');
    const sent = this.query('COMMIT').catch((error: unknown) => {
      if (isRefusal(error)) throw error;
      throw new CommitUnknownError('the connection broke during COMMIT', { cause: error });
    });
    reach('transaction.commit-sent');
    await sent;
    reach('transaction.committed');
    this.internals.isTransactionActive = false;
    await this.tell('AfterTransactionCommit');
    await this.runner.release();
    this.settings.ended();
    return appended;
  }

  private async closeToTheStep(): Promise<void> {
    await this.runner.broadcaster.broadcast('BeforeTransactionCommit');
    if (this.internals.transactionDepth !== 1) {
      throw new Error('the step returned while a nested transaction was open: await it inside the step');
    }
    this.seal();
  }

  async rollback(handlerSettled: boolean): Promise<void> {
    if (!this.runner.isReleased) await this.giveUp(handlerSettled);
    this.settings.ended();
  }

  private async giveUp(handlerSettled: boolean): Promise<void> {
    this.seal();
    if (!handlerSettled) return destroyConnection(this.runner);
    try {
      // Not TypeORM's own, which in a nested transaction goes back to its savepoint only.
      await this.query('ROLLBACK');
      this.internals.isTransactionActive = false;
      await this.tell('AfterTransactionRollback');
      await this.runner.release();
    } catch {
      await destroyConnection(this.runner);
    }
  }

  /** Subscribers may query; what they do wrong changes nothing any more. */
  private async tell(event: 'AfterTransactionCommit' | 'AfterTransactionRollback'): Promise<void> {
    if (this.settings.commits.hasCompany) Object.assign(this.runner, { query: this.query });
    await this.runner.broadcaster.broadcast(event).catch(() => undefined);
  }

  private get internals(): Internals {
    return this.runner as unknown as Internals;
  }

  private seal(): void {
    if (this.sealed) return;
    this.sealed = true;
    const tooLate = () => Promise.reject(new FencedError('ctx.manager was used after its step had settled'));
    Object.assign(this.runner, { query: tooLate });
  }
}

/** Closes the connection, which ends its transaction on the server, whatever statement is under way. */
export async function destroyConnection(runner: QueryRunner): Promise<void> {
  const internals = runner as unknown as Internals;
  await internals.releasePostgresConnection(new Error('its transaction was given up'));
}
