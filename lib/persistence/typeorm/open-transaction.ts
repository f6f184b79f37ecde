import type { EntityManager, QueryRunner } from 'typeorm';
import { TransactionRequiredError } from '../../saga/state/errors.js';

/**
 * The query runner of an open transaction, from the EntityManager or QueryRunner that a caller passed.
 * @throws TransactionRequiredError when it has no open transaction: writing there would commit on its own
 */
export function openTransaction(given: EntityManager | QueryRunner): QueryRunner {
  const candidate = given as Partial<EntityManager> & Partial<QueryRunner>;
  const runner =
    candidate.queryRunner ??
    (candidate.isTransactionActive === undefined ? undefined : (given as QueryRunner));
  if (runner?.isTransactionActive && !runner.isReleased) return runner;
  throw new TransactionRequiredError(
    'the given EntityManager is not in an open transaction: pass the manager of dataSource.transaction(async (manager) => ...), not dataSource.manager',
  );
}
