import { QueryFailedError, type DataSource, type EntityManager, type QueryRunner } from 'typeorm';
import { noProbe, type DebugProbe } from '../../runtime/debug-points.js';
import { CommitUnknownError, TransactionRequiredError } from '../../saga/state/errors.js';
import type { CommitWatch } from './commit-watch.js';
import { isRefusal } from './sql-state.js';

/** What this class knows of TypeORM's query runner beyond its interface. */
interface Internals {
  /** 1 in a transaction, more in nested ones. */
  transactionDepth: number;
  isTransactionActive: boolean;
  releasePostgresConnection(error: Error): Promise<void>;
}

/** A connection of pg. */
interface Client {
  query(statement: string): Promise<{ readonly command: string }>;
}

export interface HandlerTransactionSettings {
  readonly application: DataSource;
  readonly commits: CommitWatch;
  /** Default: none. */
  readonly reach?: DebugProbe;
}

/**
 * A transaction of the application's DataSource, for a handler: a step, or the consumer of a message.
 *
 * Statements are refused once the handler has settled, or when something in it has ended the transaction: they would run on
 * their own, after COMMIT or ROLLBACK. A connection whose ROLLBACK is not known to have happened is closed:
 * whoever got it next would commit what was to be rolled back.
 */
export class HandlerTransaction {
  /** The library's own statements: these go on when those of the handler do not. */
  readonly query: QueryRunner['query'];
  private isSealed = false;
  /** Something in the handler has ended it: TypeORM does, when a savepoint is refused. */
  private isOver = false;

  private constructor(
    private readonly runner: QueryRunner,
    private readonly settings: HandlerTransactionSettings,
  ) {
    this.query = runner.query.bind(runner);
    const own = this.query as (...statement: unknown[]) => Promise<unknown>;
    const query = (...statement: unknown[]) => {
      if (this.isSealed || this.isOver) return Promise.reject(new TransactionRequiredError(OVER));
      // From here on, and not when the answer comes: what is sent meanwhile would run behind it.
      if (END.test(String(statement[0]))) this.isOver = true;
      return own(...statement);
    };
    Object.assign(runner, { query });
  }

  /** @param isolation default: that of the DataSource */
  static async begin(
    settings: HandlerTransactionSettings,
    isolation?: 'READ COMMITTED',
  ): Promise<HandlerTransaction> {
    const runner = settings.application.createQueryRunner('master');
    try {
      await runner.connect();
      await runner.startTransaction(isolation);
    } catch (error) {
      // The transaction may be open: nobody else may get this connection.
      await destroyConnection(runner);
      throw error;
    }
    return new HandlerTransaction(runner, settings);
  }

  get manager(): EntityManager {
    return this.runner.manager;
  }

  /**
   * The handler has returned.
   * @throws Error when it left a nested transaction open or the connection is gone, TransactionRequiredError when it ended this one
   */
  async close(): Promise<void> {
    if (this.isSealed) return;
    await this.runner.broadcaster.broadcast('BeforeTransactionCommit');
    if (this.runner.isReleased)
      throw new Error('the connection was lost before COMMIT, so nothing was written');
    if (this.isOver) throw new TransactionRequiredError(OVER);
    if (this.internals.transactionDepth > 1)
      throw new Error('a nested transaction was open when its handler returned: await it inside the handler');
    this.isSealed = true;
  }

  /** @throws CommitUnknownError, QueryFailedError when PostgreSQL refuses, or Error when it has rolled everything back */
  async commit(): Promise<void> {
    const { reach = noProbe } = this.settings;
    const client = (await this.runner.connect()) as Client;
    reach('transaction.committing');
    const sent = this.sendCommit(client);
    reach('transaction.commit-sent');
    await sent;
    reach('transaction.committed');
    await this.end('AfterTransactionCommit');
  }

  async rollback(handlerSettled = true): Promise<void> {
    if (this.runner.isReleased) return;
    this.isSealed = true;
    if (!handlerSettled) return destroyConnection(this.runner);
    await this.runner.broadcaster.broadcast('BeforeTransactionRollback').catch(() => undefined);
    try {
      // Not TypeORM's own, which in a nested transaction goes back to its savepoint only.
      await this.query('ROLLBACK');
      await this.end('AfterTransactionRollback');
    } catch {
      await destroyConnection(this.runner);
    }
  }

  /** Not through TypeORM, which does not tell what the server did. */
  private async sendCommit(client: Client): Promise<void> {
    const { logger } = this.runner.dataSource;
    void logger.logQuery('COMMIT', undefined, this.runner);
    const { command } = await client.query('COMMIT').catch((error: unknown) => {
      void logger.logQueryError(error as Error, 'COMMIT', undefined, this.runner);
      if (isRefusal(error)) throw new QueryFailedError('COMMIT', undefined, error as Error);
      throw new CommitUnknownError('the connection broke during COMMIT', { cause: error });
    });
    // So PostgreSQL answers when a statement has failed, whoever caught its error.
    if (command !== 'COMMIT')
      throw new Error(
        'PostgreSQL rolled the transaction back: a statement had failed and its error was caught; run it in a nested transaction, or use ON CONFLICT',
      );
  }

  private async end(event: 'AfterTransactionCommit' | 'AfterTransactionRollback'): Promise<void> {
    this.internals.isTransactionActive = false;
    // Subscribers may query; what they do wrong changes nothing any more.
    if (this.settings.commits.hasCompany) Object.assign(this.runner, { query: this.query });
    await this.runner.broadcaster.broadcast(event).catch(() => undefined);
    await this.runner.release();
  }

  private get internals(): Internals {
    return this.runner as unknown as Internals;
  }
}

const END = /^\s*(COMMIT|END|ROLLBACK|ABORT)\s*;?\s*$/i;
const OVER =
  'the transaction of this handler is over: await all that it writes, and do not go on after a statement that failed';

/** Runs the work in a transaction, which is committed when it resolves. @throws what {@link HandlerTransaction.commit} does */
export async function handlerTransaction<T>(
  settings: HandlerTransactionSettings,
  work: (manager: EntityManager) => Promise<T>,
): Promise<T> {
  const transaction = await HandlerTransaction.begin(settings);
  try {
    const result = await work(transaction.manager);
    await transaction.close();
    await transaction.commit();
    return result;
  } catch (error) {
    await transaction.rollback();
    throw error;
  }
}

/** Closes the connection, which ends its transaction on the server, whatever statement is under way. */
export async function destroyConnection(runner: QueryRunner): Promise<void> {
  const internals = runner as unknown as Internals;
  await internals.releasePostgresConnection(new Error('its transaction was given up'));
}
