import type { DataSource, EntityManager } from 'typeorm';
import { noProbe, type DebugProbe } from '../../runtime/debug-points.js';
import type { Persistence } from '../persistence.js';
import { engineDataSource, openEngine } from './engine-data-source.js';
import { tablesOf } from './identifiers.js';
import { Migrator } from './migrations/migrator.js';
import { TransactionScope } from './transaction-scope.js';
import { TypeOrmOutboxStorage } from './typeorm-outbox-storage.js';
import { TypeOrmSagaStorage } from './typeorm-saga-storage.js';

export interface TypeOrmPersistenceOptions {
  /** Default: the DataSource's, else `public`. */
  readonly schema: string | undefined;
  readonly migrations: 'run' | 'check' | 'off';
}

/** What only tests and benches ask for. */
export interface TypeOrmPersistenceInternals {
  /** Default: none. */
  readonly reach?: DebugProbe;
}

export function typeOrmPersistence(
  application: DataSource,
  options: TypeOrmPersistenceOptions & TypeOrmPersistenceInternals,
): Persistence<EntityManager> {
  const schema = options.schema ?? (application.options as { schema?: string }).schema ?? 'public';
  const engine = engineDataSource(application);
  const settings = {
    application,
    engine,
    tables: tablesOf(schema),
    scope: new TransactionScope(),
    reach: options.reach ?? noProbe,
  };
  const migrator = new Migrator(engine, schema);
  return {
    sagas: new TypeOrmSagaStorage(settings),
    outbox: new TypeOrmOutboxStorage(settings),
    description: `typeorm (postgres, database ${String(application.driver.database)}, schema ${schema})`,
    async open() {
      await openEngine(engine);
      if (options.migrations === 'run') await migrator.run();
      if (options.migrations === 'check') await migrator.check();
    },
    async close() {
      if (engine.isInitialized) await engine.destroy();
    },
  };
}
