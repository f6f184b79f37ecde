import { DataSource, type DataSourceOptions } from 'typeorm';
import { UserError } from '../user.error.js';
import { CreateOrderService1763856000000 } from './migrations/1763856000000-create-order-service.js';

/** Any number will do; it only has to differ from other users of advisory locks in the database. */
const MIGRATION_LOCK = 1763856000;

/**
 * Connects and brings the sample's tables up to date.
 *
 * TypeORM runs migrations without a lock. Two processes that start at once on a new database would both create
 * the tables, so they queue on an advisory lock here.
 *
 * @throws UserError when the server cannot be reached or refuses us
 */
export async function openDatabase(options?: DataSourceOptions): Promise<DataSource> {
  if (options?.type !== 'postgres') throw new Error('the order service needs PostgreSQL');
  const dataSource = new DataSource({
    ...options,
    migrations: [CreateOrderService1763856000000],
    migrationsTableName: 'shop_migrations',
  });
  await dataSource.initialize().catch((error: unknown) => {
    throw unreachable(options.url ?? '', error);
  });
  await migrate(dataSource);
  return dataSource;
}

async function migrate(dataSource: DataSource): Promise<void> {
  const lock = dataSource.createQueryRunner();
  try {
    await lock.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
    await dataSource.runMigrations();
  } finally {
    await lock.query('SELECT pg_advisory_unlock($1)', [MIGRATION_LOCK]);
    await lock.release();
  }
}

function unreachable(url: string, cause: unknown): UserError {
  const { host, pathname } = new URL(url);
  const reason =
    cause instanceof Error ? cause.message || (cause as NodeJS.ErrnoException).code : String(cause);
  return new UserError(`Cannot open the database ${host}${pathname}: ${reason}. Check DATABASE_URL.`, {
    cause,
  });
}
