import type { MessageBroker } from '../brokers/message-broker.js';
import type { Duration } from '../runtime/duration.js';
import type { SagaDefaults } from '../saga/definition/saga-options.js';
import type { RetryOptions } from '../saga/retry/retry-policy.js';
import type { EntityManager } from '../typeorm-alias.js';

/** Options of `SagazModule.forRoot`. Everything may be left out. */
export interface SagazModuleOptions {
  /** Where sagas and events live. Default: the DataSource if there is one, else memory. */
  storage?: 'typeorm' | 'memory' | undefined;
  /** Name given to `TypeOrmModule`. Default: the unnamed DataSource. In `forRootAsync` it stands beside `useFactory` too. */
  dataSource?: string | undefined;
  /** Schema of our tables. Default: the DataSource's, else `'public'`. */
  schema?: string | undefined;
  /** At boot: apply; compare and refuse; nothing. Default `'run'`, with NODE_ENV=production `'check'`. */
  migrations?: 'run' | 'check' | 'off' | undefined;
  /** Permits memory storage with NODE_ENV=production. Default false. */
  allowMemoryInProduction?: boolean | undefined;
  /** Finds the ambient transaction of another library, such as typeorm-transactional or nestjs-cls. */
  resolveManager?: (() => EntityManager | undefined) | undefined;
  /** Destination `'default'`. Default: `new InMemoryBroker()`. */
  broker?: MessageBroker | undefined;
  /** Further destinations by name. */
  brokers?: Readonly<Record<string, MessageBroker>> | undefined;
  /** Destinations by event type; the first match wins. Default: everything to `'default'`. */
  routes?: readonly EventRoute[] | undefined;
  /** `false`: this process starts sagas and writes events, and leaves both to others. */
  worker?: WorkerOptions | false | undefined;
  /** Defaults of all sagas. */
  sagas?: SagaDefaults | undefined;
  outbox?: OutboxOptions | undefined;
  inbox?: InboxOptions | undefined;
  payload?: PayloadOptions | undefined;
  /** Limit of the drain; keep it below the platform's grace. Default `'20s'`. */
  shutdownTimeout?: Duration | undefined;
}

export interface WorkerOptions {
  /** Claim sagas here. Default true. */
  sagas?: boolean | undefined;
  /** Relay events here. Default true. */
  outbox?: boolean | undefined;
  /** Sagas running at once in this process. Default 500. */
  maxSagas?: number | undefined;
  /** A silent worker is dead after it; at least 500 ms. Default `'10s'`. */
  lease?: Duration | undefined;
  /** Name in logs and tables, to which a random part is added. Default: host and pid. */
  id?: string | undefined;
}

export interface OutboxOptions {
  /** Events per read, all shards of the worker together. Default 1000. */
  batchSize?: number | undefined;
  /** Limit of one batch. Default `'10s'`. */
  publishTimeout?: Duration | undefined;
  /**
   * Attempts of an event that its destination refuses; then it is a dead letter. A destination that is down uses up none.
   * Default 10 attempts, `'1s'` x 2 up to `'5m'`, full jitter.
   */
  retry?: Omit<RetryOptions, 'maxElapsed' | 'retryIf'> | undefined;
  /**
   * What a key does whose event has become a dead letter: its later events go on, or wait until somebody requeues or discards
   * the dead letter (`OutboxAdmin`). Default `'skip'`.
   */
  onPoison?: 'skip' | 'park-key' | undefined;
  /**
   * `'strict'`: never more than one event of a key on its way to a destination, for brokers that may refuse one and take the
   * next. Costs one round trip for each event of a key. Default `'batch'`.
   */
  order?: 'batch' | 'strict' | undefined;
  /**
   * Producers of one key take turns until their transactions end, by an advisory lock, for those that do not lock the
   * aggregate it stands for. For `outbox.publish` and transactional steps. Default false.
   */
  orderLock?: boolean | undefined;
  /** For how long published events are kept, for `OutboxAdmin.republish`. They are written twice then. Default false. */
  retention?: Duration | false | undefined;
  /** Processes tell each other of new events by LISTEN and NOTIFY, after the commit and at most once in 20 ms. Default true. */
  notify?: boolean | undefined;
  /** Pause after a look that found nothing; doubles up to `maxPollInterval`. Default `'25ms'`. */
  pollInterval?: Duration | undefined;
  /** Default `'1s'`. */
  maxPollInterval?: Duration | undefined;
}

/** What consumers remember. */
export interface InboxOptions {
  /** For how long a message is remembered; from a minute on, the same in all processes of a schema. Default `'7d'`. */
  window?: Duration | undefined;
  /** What becomes of a message that is older: nobody knows whether it has taken effect. Default `'dead-letter'`. */
  onExpired?: 'dead-letter' | 'process' | undefined;
  /** Deliveries of a message to an `@IdempotentConsumer` that may fail; then it is a dead letter of its transport. Default 10. */
  maxDeliveries?: number | undefined;
  /**
   * For how long a participant remembers what it did and undid: longer than any saga takes, the same in all processes of a
   * schema. Default `'400d'`.
   */
  barrierRetention?: Duration | undefined;
}

export interface PayloadOptions {
  /** Largest input, result or event payload, each, in bytes of its JSON text. Default 1,048,576. */
  maxBytes?: number | undefined;
}

export interface EventRoute {
  /** An event type, or the beginning of one and `*`. */
  readonly type: string;
  /** One destination or several; each gets its own copy. */
  readonly to: string | readonly string[];
}

/** For `forRootAsync({ useClass | useExisting })`. */
export interface SagazOptionsFactory {
  createSagazOptions(): Promise<SagazModuleOptions> | SagazModuleOptions;
}
