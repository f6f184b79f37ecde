import type { DataSource, EntityManager } from 'typeorm';
import type { OutboxRecord } from '../../events/outbox-event.js';
import { tellWritten } from '../../events/tell-written.js';
import { systemClock, type Clock } from '../../runtime/clock.js';
import { noProbe, type DebugProbe } from '../../runtime/debug-points.js';
import type { Telemetry } from '../../runtime/telemetry.js';
import type { Persistence } from '../persistence.js';
import { CommitWatch } from './commit-watch.js';
import { engineDataSource, openEngine } from './engine-data-source.js';
import { tablesOf } from './identifiers.js';
import { History } from './history.js';
import { flushOf, type Flushed } from './journal-writer.js';
import { Migrator } from './migrations/migrator.js';
import { hasSessions } from './sessions.js';
import { TransactionScope } from './transaction-scope.js';
import { TypeOrmBarrierStorage } from './typeorm-barrier-storage.js';
import { TypeOrmInterventionStorage } from './typeorm-intervention-storage.js';
import { TypeOrmInboxStorage } from './typeorm-inbox-storage.js';
import { TypeOrmOutboxSignal } from './typeorm-outbox-signal.js';
import { TypeOrmOutboxStorage } from './typeorm-outbox-storage.js';
import { TypeOrmRetryStorage } from './typeorm-retry-storage.js';
import { TypeOrmSagaStorage } from './typeorm-saga-storage.js';
import { TypeOrmSuspectStorage } from './typeorm-suspect-storage.js';
import { TypeOrmWorkerStorage } from './typeorm-worker-storage.js';

export interface TypeOrmPersistenceOptions {
  /** Default: the DataSource's, else `public`. */
  readonly schema: string | undefined;
  readonly migrations: 'run' | 'check' | 'off';
  /** NOTIFY after commits, and LISTEN where events are relayed. Default true. */
  readonly notify?: boolean;
  /** For how long published events are kept, in milliseconds. Default false, not at all. */
  readonly retentionMs?: number | false;
  /** Producers take turns by key. Default false. */
  readonly orderLock?: boolean;
}

/** What only tests and benches ask for. */
export interface TypeOrmPersistenceInternals {
  /** Default: none. */
  readonly reach?: DebugProbe;
  /** Default: that of the machine. */
  readonly clock?: Clock;
  /** False: a statement for each write, on a pool of 20, to measure what group commit saves. */
  readonly groupCommit?: false;
}

const UNGROUPED = { lanes: 20, maxRows: 1 };

type Options = TypeOrmPersistenceOptions & TypeOrmPersistenceInternals;

/** What is known only once it is open. */
interface Found {
  sessions: boolean;
  telemetry: Telemetry | undefined;
}

/** What its parts share. */
function settingsOf(application: DataSource, options: Options, found: Found) {
  const schema = options.schema ?? (application.options as { schema?: string }).schema ?? 'public';
  const { clock = systemClock, reach = noProbe, retentionMs = false, orderLock = false } = options;
  const groupCommit = options.groupCommit === false ? UNGROUPED : undefined;
  return {
    ...{ application, schema, clock, reach, retentionMs, orderLock },
    engine: engineDataSource(application, groupCommit?.lanes),
    tables: tablesOf(schema),
    scope: new TransactionScope(),
    commits: new CommitWatch(application),
    history: new History(),
    sessions: () => found.sessions,
    named: () => found.sessions,
    flushed: (flush: Flushed) => found.telemetry?.emit('journal.flushed', () => flushOf(flush)),
    ...(groupCommit && { groupCommit }),
  };
}

export function typeOrmPersistence(application: DataSource, options: Options): Persistence<EntityManager> {
  const found: Found = { sessions: false, telemetry: undefined };
  const settings = settingsOf(application, options, found);
  const { schema, engine, commits } = settings;
  const migrator = new Migrator(engine, schema);
  const sagas = new TypeOrmSagaStorage(settings);
  const workers = new TypeOrmWorkerStorage(settings);
  const signal = new TypeOrmOutboxSignal({ ...settings, notify: options.notify ?? true });
  const committed = (events: readonly OutboxRecord[]) => {
    signal.tell();
    if (found.telemetry) tellWritten(found.telemetry, events);
  };
  const outbox = new TypeOrmOutboxStorage({ ...settings, committed });
  return {
    sagas,
    workers,
    outbox,
    signal,
    retries: new TypeOrmRetryStorage(settings),
    inbox: new TypeOrmInboxStorage(settings),
    barrier: new TypeOrmBarrierStorage(settings),
    suspects: new TypeOrmSuspectStorage(settings),
    interventions: new TypeOrmInterventionStorage(settings),
    description: `typeorm (postgres, database ${String(application.driver.database)}, schema ${schema})`,
    async open(telemetry) {
      await openEngine(engine);
      found.telemetry = telemetry;
      found.sessions = await hasSessions(engine);
      if (options.migrations === 'run') await migrator.run();
      if (options.migrations === 'check') await migrator.check();
      commits.open();
    },
    check: () => migrator.check(),
    async close() {
      commits.close();
      await sagas.close();
      await workers.close();
      await outbox.close();
      await signal.close();
      if (engine.isInitialized) await engine.destroy();
    },
  };
}
