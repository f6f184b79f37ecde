import { DataSource } from 'typeorm';
import type { PostgresDataSourceOptions } from 'typeorm/driver/postgres/PostgresDataSourceOptions.js';

/**
 * Nothing of the engine waits behind the application's queries: one for the session lock and the heartbeat, two for the
 * journal, one each for reading the outbox, removing from it and hearing of new events, two for claims and everything
 * else. They are opened when they are needed.
 */
const ENGINE_CONNECTIONS = 8;

/** A statement on a connection that has died silently must not hold up its loop for ever. */
const QUERY_TIMEOUT_MS = 30_000;

/** Nor may a server that does not answer at all: the kernel would try for minutes, also after another has its place. */
const CONNECT_TIMEOUT_MS = 10_000;

/** The engine's own small DataSource: the application's connection settings, none of its entities or migrations. */
export function engineDataSource(application: DataSource, journalConnections = 2): DataSource {
  const options = application.options as PostgresDataSourceOptions;
  const name =
    options.applicationName === undefined ? 'nestjs-sagaz' : `${options.applicationName} nestjs-sagaz`;
  const max = ENGINE_CONNECTIONS - 2 + journalConnections;
  const { isolationLevel: _, ...inherited } = options;
  return new DataSource({
    ...inherited,
    applicationName: name,
    connectTimeoutMS: options.connectTimeoutMS ?? CONNECT_TIMEOUT_MS,
    entities: [],
    subscribers: [],
    migrations: [],
    synchronize: false,
    dropSchema: false,
    migrationsRun: false,
    installExtensions: false,
    cache: false,
    poolSize: max,
    extra: {
      ...(options.extra as object | undefined),
      max,
      query_timeout: QUERY_TIMEOUT_MS,
      keepAlive: true,
    },
  });
}

interface Pool {
  on(event: 'connect', listener: (client: NodeJS.EventEmitter) => void): void;
}

/**
 * Connects the engine. A connection may be cut in the moment in which the pool hands it over and nobody listens to its
 * errors yet; such an event without a listener would end the process. The query that uses it fails all the same.
 */
export async function openEngine(engine: DataSource): Promise<void> {
  await engine.initialize();
  const { master } = engine.driver as unknown as { master: Pool };
  master.on('connect', (client) => client.on('error', () => undefined));
}
