import { DataSource, type EntityManager } from 'typeorm';
import type { Persistence } from '../persistence.js';
import { Migrator } from './migrations/migrator.js';
import { typeOrmPersistence } from './typeorm-persistence.js';

/** A database of a tool that is no application: named by its URL. */
export interface DatabaseChoice {
  readonly url: string;
  readonly schema: string;
  /** How long to wait for a connection. */
  readonly connectTimeoutMs: number;
}

/** A migration reads beside its transaction. */
const CONNECTIONS = 2;

function dataSourceOf({ url, schema, connectTimeoutMs }: DatabaseChoice): DataSource {
  return new DataSource({
    type: 'postgres',
    ...{ url, schema, connectTimeoutMS: connectTimeoutMs, poolSize: CONNECTIONS },
    applicationName: 'nestjs-sagaz cli',
  });
}

/**
 * Opens our tables without a worker: nothing is claimed, run or relayed.
 * @throws SchemaMismatchError, ReadOnlyDatabaseError, or what the driver says
 */
export async function withPersistence<T>(
  choice: DatabaseChoice,
  work: (persistence: Persistence<EntityManager>) => Promise<T>,
): Promise<T> {
  return withDataSource(choice, async (application) => {
    const persistence = typeOrmPersistence(application, { schema: choice.schema, migrations: 'check' });
    try {
      await persistence.open();
      return await work(persistence);
    } finally {
      await persistence.close();
    }
  });
}

/** @throws SchemaMismatchError, ReadOnlyDatabaseError, or what the driver says */
export function withMigrator<T>(
  choice: DatabaseChoice,
  work: (migrator: Migrator) => Promise<T>,
): Promise<T> {
  return withDataSource(choice, (source) => work(new Migrator(source, choice.schema)));
}

async function withDataSource<T>(
  choice: DatabaseChoice,
  work: (source: DataSource) => Promise<T>,
): Promise<T> {
  const source = await dataSourceOf(choice).initialize();
  try {
    return await work(source);
  } finally {
    await source.destroy();
  }
}
