import { hostname } from 'node:os';
import { InMemoryBroker } from '../../lib/brokers/memory/in-memory-broker.js';
import { resolveOptions, type ResolvedOptions } from '../../lib/options/resolve-options.js';
import type { SagazModuleOptions } from '../../lib/options/sagaz-module-options.js';
import { duration, integer, Place, section, show } from '../../lib/runtime/readers.js';
import { SagazOptionsError } from '../../lib/saga/state/errors.js';

const NOWHERE = { NODE_ENV: undefined };

/** Resolves what a user may have written without a compiler. */
function resolve(
  options: unknown,
  environment: { NODE_ENV?: string | undefined } = NOWHERE,
): ResolvedOptions {
  return resolveOptions(options as SagazModuleOptions, environment);
}

function faultsOf(options: unknown): readonly string[] {
  try {
    resolve(options);
  } catch (error) {
    if (error instanceof SagazOptionsError) return error.faults;
    throw error;
  }
  return [];
}

describe('readers', () => {
  it('give each value, in milliseconds, or its default, and freeze the section', () => {
    const read = section({ pause: duration('2s'), limit: duration(), tries: integer(4) });
    const value = read({ pause: '1m' }, new Place('', []));
    expect(value).toEqual({ pause: 60_000, limit: undefined, tries: 4 });
    expect(Object.isFrozen(value)).toBe(true);
  });

  it('go on after a fault, with the default in its place', () => {
    const faults: string[] = [];
    const read = section({ pause: duration('2s'), tries: integer(4, { max: 9 }) });
    expect(read({ pause: 'soon', tries: 10 }, new Place('loop', faults))).toEqual({ pause: 2_000, tries: 4 });
    expect(faults).toEqual([
      "loop.pause: expected a duration such as 250, '250ms', '5s', '10m', '1h' or '7d', got 'soon'",
      'loop.tries: expected a whole number from 1 to 9, got 10',
    ]);
  });

  it.each([
    ['short', "'short'"],
    ['x'.repeat(40), `'${'x'.repeat(40)}'`],
    ['x'.repeat(41), 'a text'],
    ['amqp://user:hunter2@host', 'a text'],
    [null, 'null'],
    [undefined, 'undefined'],
    [NaN, 'NaN'],
    [false, 'false'],
    [[1, 2], 'an array'],
    [() => 1, 'a function'],
    [{ password: 'hunter2' }, 'a value of type Object'],
    [new Map([['password', 'hunter2']]), 'a value of type Map'],
    [Object.create(null), 'a value of type object'],
    [5n, 'a value of type BigInt'],
  ])('show a value briefly and never the inside of an object', (value, shown) => {
    expect(show(value)).toBe(shown);
  });
});

describe('resolveOptions', () => {
  it('has the documented defaults', () => {
    const { events, destinations, worker, ...rest } = resolve({});
    expect(rest).toEqual({
      production: false,
      storage: undefined,
      dataSource: undefined,
      schema: undefined,
      migrations: 'run',
      allowMemoryInProduction: false,
      resolveManager: undefined,
      sagas: {
        failureStrategy: 'FAIL_FAST',
        timeout: undefined,
        onCompensationFailure: 'continue',
        concurrency: 10,
        maxClaims: 5,
        retention: 2_592_000_000,
        keyRetention: 7_776_000_000,
        stepTimeout: 30_000,
        settleGrace: 5_000,
        retry: {
          maxAttempts: 3,
          initialInterval: 200,
          multiplier: 2,
          maxInterval: 30_000,
          maxElapsed: undefined,
          jitter: 'full',
          retryIf: undefined,
        },
        compensationTimeout: 30_000,
        compensationRetry: {
          maxAttempts: 10,
          initialInterval: 1_000,
          multiplier: 2,
          maxInterval: 300_000,
          maxElapsed: undefined,
          jitter: 'full',
          retryIf: undefined,
        },
        strict: false,
      },
      inbox: {
        window: 604_800_000,
        onExpired: 'dead-letter',
        maxDeliveries: 10,
        barrierRetention: 34_560_000_000,
      },
      outbox: {
        ...{ batchSize: 1000, publishTimeout: 10_000, pollInterval: 25, maxPollInterval: 1_000 },
        notify: true,
        onPoison: 'skip',
        order: 'batch',
        orderLock: false,
        retention: false,
        retry: {
          maxAttempts: 10,
          initialInterval: 1_000,
          multiplier: 2,
          maxInterval: 300_000,
          jitter: 'full',
        },
      },
      payload: { maxBytes: 1_048_576 },
      shutdownTimeout: 20_000,
    });
    const id = expect.stringContaining(`${hostname()}-${process.pid}-`) as unknown;
    expect(worker).toEqual({ sagas: true, outbox: true, maxSagas: 500, lease: 10_000, id });
    expect([...destinations]).toEqual([['default', expect.any(InMemoryBroker)]]);
    expect(events.maxBytes).toBe(1_048_576);
    expect(events.route('anything')).toEqual(['default']);
  });

  it('gives two processes of one host different worker ids', () => {
    expect(resolve({}).worker.id).not.toBe(resolve({}).worker.id);
  });

  it('gives a worker that comes back under its name another id: what it owned before must not look its own', () => {
    const ids = [1, 2].map(() => resolve({ worker: { id: 'desk-7' } }).worker.id);
    expect(new Set(ids).size).toBe(2);
    for (const id of ids) expect(id).toMatch(/^desk-7-[0-9a-f]{8}$/);
  });

  it('is the same for options that are left out and options that are undefined', () => {
    const given = {
      worker: { id: 'a', lease: undefined },
      sagas: undefined,
      outbox: { batchSize: undefined },
    };
    const { destinations: _one, events: _two, worker, ...left } = resolve({ worker: { id: 'a' } });
    const id = expect.stringMatching(/^a-/) as unknown;
    expect(resolve(given)).toMatchObject({ ...left, worker: { ...worker, id } });
  });

  it('only compares the schema in production, unless told otherwise', () => {
    const production = { NODE_ENV: 'production' };
    expect(resolve({}, production)).toMatchObject({ production: true, migrations: 'check' });
    expect(resolve({ migrations: 'run' }, production)).toMatchObject({ migrations: 'run' });
    expect(resolve({}, { NODE_ENV: 'development' })).toMatchObject({ production: false, migrations: 'run' });
  });

  it('makes a process with worker: false neither claim nor relay', () => {
    expect(resolve({ worker: false }).worker).toMatchObject({ sagas: false, outbox: false, maxSagas: 0 });
  });

  it('takes a number or false for a retry, and keeps the rest of the wider one', () => {
    const { retry, compensationRetry } = resolve({ sagas: { retry: 7, compensationRetry: false } }).sagas;
    expect(retry).toMatchObject({ maxAttempts: 7, initialInterval: 200, multiplier: 2, jitter: 'full' });
    expect(compensationRetry).toMatchObject({ maxAttempts: 1, initialInterval: 1_000, maxInterval: 300_000 });
  });

  it('lists every fault at once', () => {
    const options = {
      storage: 'typorm',
      schema: 'drop table',
      shutdownTimeout: '20 seconds',
      allowMemoryInProduction: 'yes',
      dataSource: '',
      resolveManager: {},
      worker: { lease: '100ms', maxSagas: 0, id: 7 },
      sagas: { concurrency: 1.5, stepTimeout: 0, retry: { jitter: 'random', multiplier: 0.5 }, strict: 1 },
      outbox: { batchSize: 20_000, pollInterval: '0s' },
      payload: [],
      brokrs: {},
    };
    expect(faultsOf(options)).toEqual([
      'unknown option "brokrs"; did you mean "brokers"?',
      `storage: expected one of 'typeorm', 'memory', got 'typorm'; did you mean "typeorm"?`,
      "dataSource: expected a text that is not empty, got ''",
      "schema: expected an identifier of letters, digits and _, got 'drop table'",
      "allowMemoryInProduction: expected true or false, got 'yes'",
      'resolveManager: expected a function, got a value of type Object',
      'worker.maxSagas: expected a whole number of at least 1, got 0',
      "worker.lease: expected a duration of at least 500 ms, got '100ms'",
      'worker.id: expected a text that is not empty, got 7',
      'sagas.concurrency: expected a whole number of at least 1, got 1.5',
      'sagas.stepTimeout: expected a duration of at least 1 ms, got 0',
      'sagas.retry.multiplier: expected a number of at least 1, got 0.5',
      `sagas.retry.jitter: expected one of 'full', 'none', got 'random'`,
      'sagas.strict: expected true or false, got 1',
      'outbox.batchSize: expected a whole number from 1 to 10000, got 20000',
      "outbox.pollInterval: expected a duration of at least 1 ms, got '0s'",
      'payload: expected an object, got an array',
      "shutdownTimeout: expected a duration such as 250, '250ms', '5s', '10m', '1h' or '7d', got '20 seconds'",
    ]);
  });

  it('has a message that names each fault on a line of its own', () => {
    const error = new SagazOptionsError(['storage: wrong', 'worker.lease: wrong']);
    expect(error.message).toBe(
      'invalid options of SagazModule:\n  - storage: wrong\n  - worker.lease: wrong',
    );
    expect(error).toMatchObject({ code: 'SAGAZ_INVALID_OPTIONS', name: 'SagazOptionsError' });
  });

  it.each([
    [{ sagsa: {} }, 'unknown option "sagsa"; did you mean "sagas"?'],
    [{ worker: { leese: 1 } }, 'worker: unknown option "leese"; did you mean "lease"?'],
    [{ sagas: { stepTimout: 1 } }, 'sagas: unknown option "stepTimout"; did you mean "stepTimeout"?'],
    [
      { sagas: { compensationRetry: { maxAtempts: 1 } } },
      'sagas.compensationRetry: unknown option "maxAtempts"; did you mean "maxAttempts"?',
    ],
    [{ outbox: { nothingLikeIt: 1 } }, 'outbox: unknown option "nothingLikeIt"'],
  ])('refuses an unknown option and says which may be meant: %j', (options, fault) => {
    expect(faultsOf(options)).toEqual([fault]);
  });

  it.each([
    ['broker', { broker: 'amqp://shop:hunter2@mq' }],
    ['a named broker', { brokers: { audit: 'amqp://shop:hunter2@mq' } }],
    ['brokers', { brokers: 'amqp://shop:hunter2@mq' }],
    ['storage', { storage: 'postgres://shop:hunter2@db/shop' }],
    ['schema', { schema: 'postgres://shop:hunter2@db/shop' }],
  ])('does not show the password when %s is given as the text of a URL', (_where, options) => {
    const faults = faultsOf(options);
    expect(faults).toHaveLength(1);
    expect(faults.join()).not.toContain('hunter2');
  });

  it.each([
    [
      { broker: {} },
      'broker: expected a MessageBroker, such as new InMemoryBroker(), got a value of type Object',
    ],
    [{ brokers: { audit: undefined } }, 'brokers.audit: expected a MessageBroker, got undefined'],
    [{ brokers: [] }, 'brokers: expected an object of brokers by name, got an array'],
    [{ brokers: { default: new InMemoryBroker() } }, 'brokers: "default" is the option broker'],
    [{ routes: {} }, 'routes: expected an array of { type, to }, got a value of type Object'],
    [{ routes: [{ type: 'a', to: [] }] }, expect.stringMatching(/^routes\.0: expected/)],
    [{ routes: [{ type: 'a', to: 'default' }, null] }, expect.stringMatching(/^routes\.1: expected/)],
    [{ routes: [{ to: 'default' }] }, expect.stringMatching(/^routes\.0: expected/)],
  ])('refuses what is no broker and no route: %p', (options, fault) => {
    expect(faultsOf(options)).toEqual([fault]);
  });

  it('refuses routes to a destination without a broker, naming both', () => {
    const brokers = { audit: new InMemoryBroker() };
    const routes = [
      { type: 'order.*', to: ['audit', 'warehouse'] },
      { type: 'order.paid', to: 'bank' },
    ];
    expect(faultsOf({ brokers, routes })).toEqual([
      'routes: "order.*" goes to "warehouse", but there is no broker of that name',
      'routes: "order.paid" goes to "bank", but there is no broker of that name',
    ]);
  });

  it('routes an event by the first route that matches its type, else to the default', () => {
    const brokers = { audit: new InMemoryBroker(), bank: new InMemoryBroker() };
    const routes = [
      { type: 'payment.taken', to: 'bank' },
      { type: 'payment.*', to: ['bank', 'audit'] },
      { type: 'pay*', to: 'audit' },
    ];
    const { events, destinations } = resolve({ brokers, routes });
    expect(events.route('payment.taken')).toEqual(['bank']);
    expect(events.route('payment.refused')).toEqual(['bank', 'audit']);
    expect(events.route('payment')).toEqual(['audit']);
    expect(events.route('order.payment.taken')).toEqual(['default']);
    expect([...events.destinations]).toEqual(['default', 'audit', 'bank']);
    expect(destinations.get('audit')).toBe(brokers.audit);
  });
});
