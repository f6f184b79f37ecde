import type { DataSource, QueryRunner } from 'typeorm';
import { destroyConnection } from './handler-transaction.js';
import { isRefusal } from './sql-state.js';

/** Runs one statement. */
export type Query = <T>(sql: string, parameters?: unknown[]) => Promise<T>;

/**
 * A transaction of the engine. Its connection goes back only when the transaction is known to have ended: behind a statement that
 * the server is still at, ROLLBACK is given up before it was sent, and whoever got that connection next would write into a
 * transaction that nobody commits.
 */
export async function engineTransaction<T>(
  engine: DataSource,
  work: (query: Query) => Promise<T>,
): Promise<T> {
  const runner = engine.createQueryRunner('master');
  let certain = true;
  const known = async <R>(statement: Promise<R>): Promise<R> => {
    try {
      return await statement;
    } catch (error) {
      certain &&= isRefusal(error);
      throw error;
    }
  };
  try {
    await known(runner.startTransaction());
    const result = await work((sql, parameters) => known(runner.query(sql, parameters)));
    await known(runner.commitTransaction());
    await runner.release();
    return result;
  } catch (error) {
    await (certain ? rollBack(runner) : destroyConnection(runner));
    throw error;
  }
}

async function rollBack(runner: QueryRunner): Promise<void> {
  try {
    await runner.rollbackTransaction();
    await runner.release();
  } catch {
    await destroyConnection(runner);
  }
}
