import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { PublishItem } from '../../lib/events/publish.js';
import { uuidV7 } from '../../lib/events/uuid-v7.js';
import { OutboxRetries } from '../../lib/outbox/outbox-retries.js';
import { OutboxWorker } from '../../lib/outbox/outbox-worker.js';
import { Standby } from '../../lib/outbox/standby.js';
import { Suspicions } from '../../lib/outbox/suspicions.js';
import { Publisher, type Destination } from '../../lib/outbox/publisher.js';
import type { Persistence } from '../../lib/persistence/persistence.js';
import { typeOrmPersistence } from '../../lib/persistence/typeorm/typeorm-persistence.js';
import { systemClock } from '../../lib/runtime/clock.js';
import { Telemetry } from '../../lib/runtime/telemetry.js';
import { WorkerLease } from '../../lib/saga/recovery/worker-lease.js';
import { makeEvent } from '../../lib/events/event-factory.js';
import type { DataSource, EntityManager } from 'typeorm';
import { describeWith } from '../support/requirement.js';
import { applicationDatabase, type ApplicationDatabase } from '../support/test-data-source.js';
import { until } from '../support/until.js';

const RULES = { route: () => ['default'], destinations: new Set(['default']), maxBytes: 1_000_000 };
const IGNORED = { lost: () => undefined, definitions: () => [], found: () => undefined };
const QUIET = { log: () => undefined, warn: () => undefined, error: () => undefined };

const ALWAYS = { leave: () => Promise.resolve(false), resume: () => Promise.resolve() };

interface Relay {
  readonly worker: OutboxWorker;
  readonly lease: WorkerLease;
}

describeWith('postgres', 'the relay', () => {
  let database: ApplicationDatabase;
  let persistence: Persistence<EntityManager>;
  const running = new Set<Relay>();

  beforeAll(async () => {
    database = await applicationDatabase();
    persistence = typeOrmPersistence(database.dataSource, { schema: undefined, migrations: 'run' });
    await persistence.open();
  });

  afterEach(() => Promise.all([...running].map(stopRelay)));

  afterAll(async () => {
    await persistence.close();
    await database.close();
  });

  async function startRelay(given: Pick<Destination, 'publish'>, batchSize: number): Promise<Relay> {
    const destination: Destination = { ping: () => Promise.resolve(), ...given };
    const common = { clock: systemClock, log: QUIET, leaseMs: 1_000 };
    const lease = new WorkerLease({ ...common, id: uuidV7(), workers: persistence.workers, ...IGNORED });
    await lease.start();
    await lease.setRelays(true);
    const publisher = new Publisher(new Map([['default', destination]]), 5_000, systemClock);
    const telemetry = new Telemetry(lease.id, systemClock, QUIET);
    const policy = {
      maxAttempts: 10,
      initialInterval: 20,
      multiplier: 2,
      maxInterval: 100,
      jitter: 'full',
    } as const;
    const retries = new OutboxRetries({
      identity: lease,
      clock: systemClock,
      telemetry,
      policy,
      storage: persistence.retries,
      ...{ onPoison: 'skip' as const, strict: false },
    });
    const suspicions = new Suspicions({
      ...{ identity: lease, storage: persistence.suspects, batchSize, bury: () => Promise.resolve() },
    });
    const worker = new OutboxWorker({
      ...{
        ...common,
        identity: lease,
        storage: persistence.outbox,
        publisher,
        batchSize,
        telemetry,
        retries,
        suspicions,
        standby: new Standby({ duty: ALWAYS, clock: systemClock, log: QUIET }),
        strict: false,
      },
      pollIntervalMs: 2,
      maxPollIntervalMs: 10,
    });
    worker.start();
    const relay = { worker, lease };
    running.add(relay);
    return relay;
  }

  async function stopRelay(relay: Relay): Promise<void> {
    const { worker, lease } = relay;
    running.delete(relay);
    await worker.stop();
    await lease.stop(true);
  }

  function publish(manager: EntityManager, key: string, n: number) {
    const made = makeEvent({ type: 'counted', key, payload: n }, RULES);
    if ('fault' in made) throw new Error(made.fault.reason);
    return persistence.outbox.insert(manager, made.records);
  }

  const pending = async () => {
    const [row] = await database.dataSource.query('SELECT count(*)::int AS left FROM saga_outbox');
    return row.left as number;
  };

  it('moves and buries nothing for a worker that has lost the shard, also when the server is late', async () => {
    const { outbox, retries, workers } = persistence;
    await database.dataSource.transaction((manager) => publish(manager, 'k', 1));
    await workers.heartbeat({ id: 'owner', relays: true, leaseMs: 60_000 });
    expect(await outbox.leaseShards('owner')).toHaveLength(16);
    const reader = await outbox.openReader();
    const positions = new Map(Array.from({ length: 16 }, (_, shard) => [shard, 0n]));
    const { events } = await reader.read({
      positions,
      previous: undefined,
      limits: new Map([...positions.keys()].map((shard) => [shard, 10])),
    });
    await reader.close();
    const [event] = events;
    if (!event) throw new Error('there is one');
    await retries.divert('stranger', [{ event, failure: undefined }]);
    await retries.bury('stranger', [{ event, reason: 'rejected: no' }]);
    expect(await pending()).toBe(1);
    await retries.divert('owner', [{ event, failure: { attempts: 1, reason: 'busy', nextInMs: 0 } }]);
    const [due] = await retries.due({ shards: [event.shard], except: [], limit: 10 });
    if (!due) throw new Error('it is due');
    await retries.settle('stranger', [{ event: due, outcome: 'dead', reason: 'exhausted: busy' }]);
    await retries.settle('stranger', [{ event: due, outcome: 'published' }]);
    expect(await retries.due({ shards: [event.shard], except: [], limit: 10 })).toEqual([due]);
    await retries.settle('owner', [{ event: due, outcome: 'published' }]);
    await workers.retire('owner');
    await outbox.releaseShards('owner');
  });

  it('delivers what committed and nothing else, in the order of each key, while workers come and go', async () => {
    const received: { key: string; n: number }[] = [];
    const destination: Pick<Destination, 'publish'> = {
      publish: (items: readonly PublishItem[]) => {
        for (const { key, payload } of items) received.push({ key, n: Number(payload) });
        return Promise.resolve(items.map(() => ({ status: 'ok' }) as const));
      },
    };
    const committed = await withCounters(async (count) => {
      const relays = [await startRelay(destination, 20), await startRelay(destination, 5)];
      const end = Date.now() + 6_000;
      const writers = Array.from({ length: 8 }, () => count.writeUntil(end));
      await sleep(1_500);
      relays.push(await startRelay(destination, 50));
      await sleep(1_500);
      await stopRelay(relays.shift() as Relay);
      const expected = (await Promise.all(writers)).flat();
      await until(async () => (await pending()) === 0);
      return expected;
    });

    const delivered = new Set(received.map(({ key, n }) => `${key}:${n}`));
    expect(committed.filter((it) => !delivered.has(it))).toEqual([]);
    const known = new Set(committed);
    expect([...delivered].filter((it) => !known.has(it))).toEqual([]);
    expect(inversions(received)).toEqual([]);
    expect(committed.length).toBeGreaterThan(200);
  });

  it('delivers an event that committed after later ones of its shard were published', async () => {
    const received: number[] = [];
    const destination: Pick<Destination, 'publish'> = {
      publish: (items) => {
        received.push(...items.map(({ payload }) => Number(payload)));
        return Promise.resolve(items.map(() => ({ status: 'ok' }) as const));
      },
    };
    await startRelay(destination, 10);
    const slow = database.dataSource.createQueryRunner();
    await slow.startTransaction();
    await publish(slow.manager, 'same-key', 1);
    await database.dataSource.transaction((manager) => publish(manager, 'same-key', 2));
    await until(() => received.includes(2));
    await slow.commitTransaction();
    await slow.release();
    await until(() => received.includes(1));
    expect(received).toEqual([2, 1]);
  });

  it('loses nothing when its connections are cut in the middle', async () => {
    const received = new Set<number>();
    const destination: Pick<Destination, 'publish'> = {
      publish: async (items) => {
        await sleep(1);
        for (const { payload } of items) received.add(Number(payload));
        return items.map(() => ({ status: 'ok' }) as const);
      },
    };
    await startRelay(destination, 16);
    const killer = new pg.Client(database.url);
    await killer.connect();
    for (let round = 0; round < 10; round++) {
      await database.dataSource.transaction(async (manager) => {
        for (let n = 0; n < 50; n++) await publish(manager, `key-${n % 7}`, round * 50 + n);
      });
      await killer.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'nestjs-sagaz'`,
      );
    }
    await killer.end();
    await until(() => received.size === 500);
    await until(async () => (await pending()) === 0);
  });

  it('does not end its process when a connection is cut in the moment it is handed over', async () => {
    const { engine } = (persistence.outbox as unknown as { settings: { engine: DataSource } }).settings;
    const { master: pool } = engine.driver as unknown as { master: pg.Pool };
    // More than are open already, so that some are new.
    const clients = await Promise.all([1, 2, 3].map(() => pool.connect()));
    const cut = new Error('terminating connection due to administrator command');
    for (const client of clients.slice(1)) expect(() => client.emit('error', cut)).not.toThrow();
    for (const client of clients) client.release(true);
  });

  interface Counters {
    /** Counts up random keys in transactions of random length, 20 % of them rolled back. */
    writeUntil(end: number): Promise<string[]>;
  }

  async function withCounters<T>(work: (counters: Counters) => Promise<T>): Promise<T> {
    const { dataSource } = database;
    await dataSource.query('CREATE TABLE counter (key text PRIMARY KEY, n int NOT NULL DEFAULT 0)');
    await dataSource.query(`INSERT INTO counter (key) SELECT 'key-' || generate_series(0, 19)`);
    const writeUntil = async (end: number) => {
      const written: string[] = [];
      while (Date.now() < end) written.push(...(await writeOnce()));
      return written;
    };
    const writeOnce = async () => {
      const runner = dataSource.createQueryRunner();
      const mine: string[] = [];
      try {
        await runner.startTransaction();
        if (Math.random() < 0.5) await runner.query('SELECT pg_current_xact_id()');
        if (Math.random() < 0.3) await sleep(Math.random() * 100);
        const key = `key-${Math.floor(Math.random() * 20)}`;
        for (let left = 1 + Math.floor(Math.random() * 30); left > 0; left--) {
          const [[row]] = await runner.query('UPDATE counter SET n = n + 1 WHERE key = $1 RETURNING n', [
            key,
          ]);
          await publish(runner.manager, key, row.n);
          mine.push(`${key}:${row.n}`);
        }
        if (Math.random() < 0.1) await sleep(Math.random() * 400);
        const keep = Math.random() > 0.2;
        await (keep ? runner.commitTransaction() : runner.rollbackTransaction());
        return keep ? mine : [];
      } finally {
        await runner.release();
      }
    };
    try {
      return await work({ writeUntil });
    } finally {
      await dataSource.query('DROP TABLE counter');
    }
  }
});

/** First deliveries that came after a later one of their key. */
function inversions(received: readonly { readonly key: string; readonly n: number }[]): string[] {
  const last = new Map<string, number>();
  const seen = new Set<string>();
  const wrong: string[] = [];
  for (const { key, n } of received) {
    if (seen.has(`${key}:${n}`)) continue;
    seen.add(`${key}:${n}`);
    if (n < (last.get(key) ?? 0)) wrong.push(`${key}: ${n} after ${last.get(key)}`);
    last.set(key, Math.max(n, last.get(key) ?? 0));
  }
  return wrong;
}
