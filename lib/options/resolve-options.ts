import { InMemoryBroker } from '../brokers/memory/in-memory-broker.js';
import type { MessageBroker } from '../brokers/message-broker.js';
import type { EventRules } from '../events/event-factory.js';
import {
  atLeast,
  bool,
  callable,
  duration,
  durationOrFalse,
  integer,
  oneOf,
  Place,
  section,
  sectionOrFalse,
  text,
} from '../runtime/readers.js';
import { processName } from '../runtime/process-name.js';
import { SAGA_DEFAULTS, sagaFields } from '../saga/definition/saga-options.js';
import { SagazOptionsError } from '../saga/state/errors.js';
import { broker, brokers, matches, routes } from './broker-options.js';
import { identifier } from './identifier-option.js';
import type { SagazModuleOptions } from './sagaz-module-options.js';
import type { EntityManager } from '../typeorm-alias.js';

/** Shorter leases than this do not survive a garbage collection. */
const MIN_LEASE_MS = 500;

/** Published events are forgotten by looks that are half a minute apart. */
const MIN_RETENTION_MS = 600_000;

const read = section({
  isGlobal: bool(true),
  storage: oneOf(['typeorm', 'memory']),
  dataSource: text(),
  schema: identifier(),
  migrations: oneOf(['run', 'check', 'off']),
  allowMemoryInProduction: bool(false),
  resolveManager: callable<() => EntityManager | undefined>(),
  broker: broker(),
  brokers: brokers(),
  routes: routes(),
  worker: sectionOrFalse({
    sagas: bool(true),
    outbox: bool(true),
    maxSagas: integer(500),
    lease: duration('10s', { min: MIN_LEASE_MS }),
    id: text(),
  }),
  sagas: section({
    ...sagaFields(SAGA_DEFAULTS),
    maxClaims: integer(5),
    retention: durationOrFalse('30d'),
    keyRetention: duration('90d', { min: 1 }),
  }),
  outbox: section({
    batchSize: integer(1000, { max: 10_000 }),
    publishTimeout: duration('10s', { min: 1 }),
    retry: section({
      maxAttempts: integer(10),
      initialInterval: duration('1s'),
      multiplier: atLeast(2, 1),
      maxInterval: duration('5m'),
      jitter: oneOf(['full', 'none'], 'full'),
    }),
    onPoison: oneOf(['skip', 'park-key'], 'skip'),
    order: oneOf(['batch', 'strict'], 'batch'),
    orderLock: bool(false),
    retention: durationOrFalse(false, { min: MIN_RETENTION_MS }),
    notify: bool(true),
    pollInterval: duration('25ms', { min: 1 }),
    maxPollInterval: duration('1s', { min: 1 }),
  }),
  inbox: section({
    window: duration('7d', { min: 60_000 }),
    onExpired: oneOf(['dead-letter', 'process'], 'dead-letter'),
    maxDeliveries: integer(10),
    barrierRetention: duration('400d', { min: 60_000 }),
  }),
  payload: section({ maxBytes: integer(1_048_576) }),
  shutdownTimeout: duration('20s'),
});

type Given = ReturnType<typeof read>;

/** The module's options, checked, with every default, in milliseconds and bytes. */
export interface ResolvedOptions extends Omit<
  Given,
  'isGlobal' | 'broker' | 'brokers' | 'routes' | 'worker' | 'migrations'
> {
  readonly production: boolean;
  readonly migrations: 'run' | 'check' | 'off';
  readonly worker: Omit<Exclude<Given['worker'], false>, 'id'> & { readonly id: string };
  /** Every broker by its destination name. */
  readonly destinations: ReadonlyMap<string, MessageBroker>;
  readonly events: EventRules;
}

/** @throws SagazOptionsError with every fault at once */
export function resolveOptions(
  options: SagazModuleOptions,
  environment: { NODE_ENV?: string | undefined },
): ResolvedOptions {
  const faults: string[] = [];
  const {
    isGlobal: _,
    broker: main,
    brokers: named,
    routes: ways,
    ...given
  } = read(options, new Place('', faults));
  const destinations = new Map<string, MessageBroker>([['default', main ?? new InMemoryBroker()], ...named]);
  for (const { type, to } of ways) {
    for (const name of to.filter((it) => !destinations.has(it))) {
      faults.push(`routes: "${type}" goes to "${name}", but there is no broker of that name`);
    }
  }
  if (faults.length > 0) throw new SagazOptionsError(faults);

  const production = environment.NODE_ENV === 'production';
  const route = (type: string) => ways.find((way) => matches(way.type, type))?.to ?? ['default'];
  return Object.freeze({
    ...given,
    production,
    migrations: given.migrations ?? (production ? 'check' : 'run'),
    worker: resolveWorker(given.worker),
    destinations,
    events: { route, destinations: new Set(destinations.keys()), maxBytes: given.payload.maxBytes },
  });
}

function resolveWorker(worker: Given['worker']): ResolvedOptions['worker'] {
  const none = { sagas: false, outbox: false, maxSagas: 0, lease: 10_000, id: undefined };
  const own = worker === false ? none : worker;
  // A name may come back after a crash; what the process before it owned must not look like this one's.
  return { ...own, id: processName(own.id) };
}
