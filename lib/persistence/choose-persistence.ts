import type { Clock } from '../runtime/clock.js';
import { MemoryInProductionError, SagazOptionsError } from '../saga/state/errors.js';
import { isIdentifier } from './typeorm/identifiers.js';
import { memoryPersistence } from './memory/memory-persistence.js';
import type { EntityManager } from '../typeorm-alias.js';
import type { Persistence } from './persistence.js';
import { typeOrmPersistence, type TypeOrmPersistenceOptions } from './typeorm/typeorm-persistence.js';

export interface PersistenceChoice extends Omit<
  TypeOrmPersistenceOptions,
  'notify' | 'retentionMs' | 'orderLock'
> {
  readonly storage: 'typeorm' | 'memory' | undefined;
  readonly production: boolean;
  readonly worker: { readonly sagas: boolean };
  readonly outbox: {
    readonly notify: boolean;
    readonly retention: number | false;
    readonly orderLock: boolean;
  };
  readonly allowMemoryInProduction: boolean;
  /** The name it was asked for by; undefined for the unnamed one. */
  readonly dataSourceName: string | undefined;
  readonly dataSource: Parameters<typeof typeOrmPersistence>[0] | undefined;
}

/**
 * The DataSource when the application has it, else memory.
 * @throws SagazOptionsError, MemoryInProductionError: both say which option to set
 */
export function choosePersistence(choice: PersistenceChoice, clock: Clock): Persistence<EntityManager> {
  const { storage, dataSource, dataSourceName } = choice;
  const named =
    dataSourceName === undefined ? 'the unnamed DataSource' : `the DataSource "${dataSourceName}"`;
  if (storage === 'memory' || (storage === undefined && !dataSource && dataSourceName === undefined))
    return inMemory(choice, clock);
  if (!dataSource) {
    throw new SagazOptionsError([
      `dataSource: the application has not ${named}; import TypeOrmModule.forRoot(...), or name another with dataSource`,
    ]);
  }
  if (dataSource.options.type !== 'postgres') {
    const advice = "name a PostgreSQL one with dataSource, or set storage: 'memory'";
    throw new SagazOptionsError([
      `dataSource: ${named} is of type ${dataSource.options.type}, and PostgreSQL is needed; ${advice}`,
    ]);
  }
  const schema = choice.schema ?? dataSource.options.schema;
  if (schema !== undefined && !isIdentifier(schema)) {
    throw new SagazOptionsError([
      `schema: "${schema}", the schema of ${named}, must be letters, digits and _; set schema`,
    ]);
  }
  const { notify, orderLock, retention: retentionMs } = choice.outbox;
  return typeOrmPersistence(dataSource, { ...choice, notify, orderLock, retentionMs });
}

function inMemory(
  { production, allowMemoryInProduction, worker }: PersistenceChoice,
  clock: Clock,
): Persistence<EntityManager> {
  if (!worker.sagas) {
    throw new SagazOptionsError([
      'worker: on memory storage no other process could run the sagas; leave worker.sagas on',
    ]);
  }
  if (!production || allowMemoryInProduction) {
    // Memory has no transactions, so nobody is ever handed one.
    return memoryPersistence(clock) as unknown as Persistence<EntityManager>;
  }
  throw new MemoryInProductionError(
    'memory storage with NODE_ENV=production would lose every saga and event at the next restart; ' +
      'give the application a PostgreSQL DataSource, or set allowMemoryInProduction: true',
  );
}
