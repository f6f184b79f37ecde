import 'reflect-metadata';
import { setTimeout as sleep } from 'node:timers/promises';
import type { INestApplication } from '@nestjs/common';
import {
  ClassicSaga,
  InMemoryBroker,
  NonRetryableError,
  SagaOrchestrator,
  SagaStatus,
  SagazModule,
  type MessageBroker,
  type PublishItem,
} from '../../lib/index.js';
import { InMemoryTransport } from '../../lib/microservices.js';
import { RedisStreamsBroker } from '../../lib/redis.js';
import { Deferred } from '../../lib/runtime/deferred.js';
import {
  killedKafka,
  killedRabbitMq,
  killedRedis,
  type KeptMessage,
  type KilledServer,
} from '../support/brokers/killed-server.js';
import { DEAD, TYPE } from '../support/brokers/places.js';
import { describeWith } from '../support/requirement.js';
import { startApplication, type TestApplicationOptions } from '../support/test-application.js';
import { until } from '../support/until.js';
import { ChaosWorld } from './support/chaos-world.js';
import { Cluster } from './support/cluster.js';
import { random } from './support/load.js';
import { COUNTER_TABLE } from './support/producers.js';
import { RepeatingBroker } from './support/repeating-broker.js';
import { restore } from './support/restore.js';
import { INBOX, TAKEN_TABLE, Takers, type Counted } from './support/takers.js';
import type { WorkerProcess } from './support/worker-process.js';

const FULL = process.env['CHAOS_FULL'] === '1';
const EVENTS = FULL ? 10_000 : 1_000;
/** For each fact that is waited for. */
const PATIENCE_MS = FULL ? 600_000 : 120_000;
const EVENTS_OF_SAGA = 5;
const AT_ONCE = 32;
const KEYS = 50;
const CONSUMERS = ['billing', 'audit'];
const KILL_EVERY_MS = 1_000;
const MOST_STARTS = 30;
const COMMITTED = 'CREATE TABLE committed (event_id uuid NOT NULL, event jsonb NOT NULL)';

interface Input {
  readonly key: string;
  readonly events: readonly Pick<Counted, 'poison' | 'old'>[];
  /** Its second step publishes an event, and fails. */
  readonly fails: boolean;
}

/** Locks its key, counts it on for each event that it writes, and notes what it wrote in the same transaction. */
const counting = new ClassicSaga<Input>('counting')
  .step('write', {
    transactional: true,
    action: async (ctx) => {
      const { key, events } = ctx.input;
      const manager = ctx.manager as { query<T>(text: string, values: unknown[]): Promise<T> };
      await manager.query('INSERT INTO counter (key) VALUES ($1) ON CONFLICT DO NOTHING', [key]);
      const [[{ n }]] = await manager.query<[[{ n: number }]]>(
        'UPDATE counter SET n = n + $2 WHERE key = $1 RETURNING n',
        [key, events.length],
      );
      for (const [place, event] of events.entries()) {
        const payload: Counted = { key, n: n - events.length + place, ...event };
        const id = await ctx.publish({ type: TYPE, key, payload });
        await manager.query('INSERT INTO committed VALUES ($1, $2)', [id, JSON.stringify(payload)]);
      }
    },
    compensation: () => undefined,
  })
  .step('check', {
    transactional: true,
    action: async (ctx) => {
      if (!ctx.input.fails) return;
      const { key } = ctx.input;
      await ctx.publish({ type: TYPE, key, payload: { key, n: -1, poison: false, old: false } });
      throw new NonRetryableError('no');
    },
  })
  .build();

interface Committed {
  readonly event_id: string;
  readonly event: Counted;
}

/** The service that runs the sagas and relays their events. */
function startProducer(
  url: string,
  broker: MessageBroker,
  more: Partial<TestApplicationOptions> = {},
): Promise<INestApplication> {
  return startApplication({
    ...{ url, imports: [SagazModule.forFeature([counting])], ...more },
    sagaz: {
      ...{ broker, inbox: INBOX },
      // In memory a batch is published when all of its handlers are done: that has to be within the lease.
      outbox: { batchSize: 50, publishTimeout: '1m', retry: { initialInterval: 5, maxInterval: 50 } },
    },
  });
}

/** Lets so many events through, then none until it is opened. */
class GatedBroker extends RepeatingBroker {
  readonly gate = new Deferred<void>();
  readonly reached = new Deferred<void>();

  constructor(
    broker: MessageBroker,
    private readonly limit: number,
  ) {
    super(broker, () => 0);
  }

  override async publish(batch: readonly PublishItem[], signal: AbortSignal) {
    if (this.published >= this.limit) {
      this.reached.resolve();
      await this.gate.promise;
    }
    return super.publish(batch, signal);
  }
}

/** Producer, broker and consumers of one run. */
class Run {
  private written = 0;

  constructor(
    readonly world: ChaosWorld,
    readonly broker: RepeatingBroker,
    private readonly chance: () => number,
    private readonly takenUrl: string,
    readonly app: INestApplication,
  ) {}

  static async start(inner: MessageBroker): Promise<Run> {
    const seed = Number(process.env['SAGAZ_SEED'] ?? Date.now() % 1_000_000);
    process.stderr.write(`seed ${seed}\n`);
    const world = await ChaosWorld.open();
    const isLocal = inner instanceof InMemoryBroker;
    const takenUrl = isLocal ? world.url : world.ledgerUrl;
    await world.query(TAKEN_TABLE, takenUrl);
    await world.query(`${COUNTER_TABLE}; ${COMMITTED}`);
    const broker = new RepeatingBroker(inner, random(seed + 1));
    const app = await startProducer(world.url, broker, {
      ...(isLocal && { controllers: [Takers], microservices: [{ strategy: new InMemoryTransport(inner) }] }),
    });
    return new Run(world, broker, random(seed), takenUrl, app);
  }

  /** Runs sagas until so many events are committed. @param half is called once in the middle */
  async produce(events: number, half: () => void = () => undefined): Promise<void> {
    const orchestrator = this.app.get(SagaOrchestrator);
    const sagas = events / EVENTS_OF_SAGA;
    let started = 0;
    const one = async () => {
      while (started < sagas) {
        if (++started === Math.floor(sagas / 2)) half();
        const fails = this.chance() < 0.1;
        const { status } = await orchestrator.execute(counting, this.input(fails));
        expect(status).toBe(fails ? SagaStatus.COMPENSATED : SagaStatus.COMPLETED);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, one));
  }

  private input(fails: boolean): Input {
    const events = Array.from({ length: EVENTS_OF_SAGA }, () => {
      const number = ++this.written;
      return { poison: number % 100 === 50, old: number % 1_000 === 501 };
    });
    return { key: `key ${Math.floor(this.chance() * KEYS)}`, events, fails };
  }

  committed(): Promise<Committed[]> {
    return this.world.query<Committed>('SELECT event_id, event FROM committed');
  }

  async relayed(): Promise<boolean> {
    const left = await this.world.query(
      'SELECT 1 FROM saga_outbox UNION ALL SELECT 1 FROM saga_outbox_retry',
    );
    return left.length === 0;
  }

  /** Of each consumer, what took effect, in a text that says all. */
  async taken(): Promise<readonly string[]> {
    const rows = await this.world.query<{ place: string }>(
      "SELECT consumer || ' ' || key || ' ' || n AS place FROM taken",
      this.takenUrl,
    );
    return rows.map(({ place }) => place).toSorted();
  }

  /** What should have. */
  expected(committed: readonly Committed[]): readonly string[] {
    const good = committed.filter(({ event: { poison, old } }) => !poison && !old);
    return CONSUMERS.flatMap((name) => good.map(({ event: { key, n } }) => `${name} ${key} ${n}`)).toSorted();
  }

  async close(): Promise<void> {
    await this.app.close();
    await this.world.close();
  }
}

/** Processes of the consuming service, of which one is killed now and then until they are told to stay. */
class Consumers {
  killed = 0;
  private killing = true;
  private over: Promise<void> = Promise.resolve();
  private readonly processes: WorkerProcess[] = [];

  constructor(
    private readonly world: ChaosWorld,
    private readonly env: Readonly<Record<string, string>>,
  ) {}

  /** One that does not come up, for its broker is down, is started again, as Kubernetes would. */
  async start(count: number): Promise<void> {
    for (let n = 0, attempts = 0; n < count;) {
      const process = await this.world.start({ program: 'taker-worker', env: this.env });
      if (process.said.length > 0) {
        this.processes.push(process);
        n += 1;
      } else if (++attempts > MOST_STARTS) throw new Error(process.complaints);
    }
  }

  beginKilling(chance: () => number): void {
    this.over = (async () => {
      while (this.killing) {
        await sleep(KILL_EVERY_MS);
        const [victim] = this.processes.splice(Math.floor(chance() * this.processes.length), 1);
        victim?.kill('SIGKILL');
        this.killed += 1;
        await this.start(1);
      }
    })();
  }

  async endKilling(): Promise<void> {
    this.killing = false;
    await this.over;
  }
}

function inversions(messages: readonly KeptMessage[]): readonly string[] {
  const seen = new Set<string | undefined>();
  const last = new Map<string, number>();
  return messages.flatMap(({ payload, headers }) => {
    const { key, n } = payload as Counted;
    if (seen.has(headers['id'])) return [];
    seen.add(headers['id']);
    const before = last.get(key) ?? -1;
    last.set(key, n);
    return n < before ? [`${key}: ${n} after ${before}`] : [];
  });
}

describeWith('postgres', `${EVENTS} events, each delivered one to five times, in no order`, () => {
  let run: Run | undefined;
  let server: KilledServer | undefined;
  afterEach(async () => {
    await run?.close();
    run = undefined;
    await server?.remove();
    server = undefined;
  }, 60_000);

  it(
    'in memory: take effect once for each consumer; poison and what is too old do not',
    async () => {
      const { broker } = (run = await Run.start(new InMemoryBroker()));
      const local = run;
      await local.produce(EVENTS);
      await until(() => local.relayed(), PATIENCE_MS);
      await broker.flush();
      const expected = local.expected(await local.committed());
      await until(async () => (await local.taken()).length >= expected.length, PATIENCE_MS);
      expect(await local.taken()).toEqual(expected);
      expect(broker.published).toBeGreaterThan(EVENTS * 2);
    },
    3 * PATIENCE_MS,
  );

  for (const [service, name, start] of [
    ['rabbitmq-server', 'rabbitmq', killedRabbitMq],
    ['kafka', 'kafka', killedKafka],
    ['redis-server', 'redis', killedRedis],
  ] as const)
    describeWith(service, `with a ${name} that is killed, and consumers that are killed`, () => {
      it(
        'take effect once for each consumer; poison and what is too old are dead letters',
        async () => {
          const killed = (server = await start());
          const whole = (run = await Run.start(killed.broker));
          const { world, broker } = whole;
          const consumers = new Consumers(world, { CHAOS_BROKER: name, CHAOS_ADDRESS: killed.address });
          await consumers.start(3);
          consumers.beginKilling(random(7));
          let restarted = Promise.resolve();
          const restart = async () => {
            await killed.kill();
            await sleep(500);
            await killed.up();
          };
          await whole.produce(EVENTS, () => {
            restarted = restart();
          });
          await restarted;
          await until(() => whole.relayed(), PATIENCE_MS);
          await broker.flush();
          const committed = await whole.committed();
          const expected = whole.expected(committed);
          await until(async () => (await whole.taken()).length >= expected.length, PATIENCE_MS);
          await consumers.endKilling();
          await until(async () => (await killed.backlog()) === 0, PATIENCE_MS);
          // I7 and I9.
          expect(await whole.taken()).toEqual(expected);
          const refused = committed.filter(({ event: { poison, old } }) => poison || old);
          const dead = new Set<string>();
          await killed.read(DEAD, ({ headers }) => dead.add(headers['id'] ?? ''));
          await until(() => dead.size >= refused.length, PATIENCE_MS);
          expect([...dead].toSorted()).toEqual(refused.map(({ event_id }) => event_id).toSorted());
          // I8, by first deliveries.
          const kept: KeptMessage[] = [];
          await killed.read(TYPE, (message) => kept.push(message));
          const firsts = () => new Set(kept.map(({ headers }) => headers['id'])).size;
          await until(() => firsts() === committed.length && kept.length >= broker.published, PATIENCE_MS);
          expect(inversions(kept)).toEqual([]);
          process.stderr.write(
            `${name}: ${committed.length} events, ${kept.length} messages, ${refused.length} dead letters, ` +
              `${consumers.killed} consumers killed\n`,
          );
        },
        5 * PATIENCE_MS,
      );
    });
});

describeWith('redis-server', 'a producer whose database is restored from a dump in the middle', () => {
  const closing: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  }, 60_000);

  describeWith('pg_dump', 'into a new cluster', () => {
    it('publishes events again, which take effect once', async () => {
      const server = await killedRedis();
      closing.push(() => server.remove());
      const world = await ChaosWorld.open();
      closing.push(() => world.close());
      await world.query(TAKEN_TABLE, world.ledgerUrl);
      await world.query(`${COUNTER_TABLE}; ${COMMITTED}`);
      const consumers = new Consumers(world, { CHAOS_BROKER: 'redis', CHAOS_ADDRESS: server.address });
      await consumers.start(1);
      const events = 1_500;
      const gated = new GatedBroker(server.broker, events / 5);
      const app = await startProducer(world.url, gated);
      const run = new Run(world, gated, random(3), world.ledgerUrl, app);
      await run.produce(events);
      await gated.reached.promise;
      const cluster = await Cluster.create();
      closing.push(() => cluster.drop());
      restore(world.url, cluster.url);
      // The old one goes on: what it publishes now is pending in the dump.
      gated.gate.resolve();
      await until(() => run.relayed(), 60_000);
      await app.close();

      const again = new RepeatingBroker(new RedisStreamsBroker({ url: server.address }), () => 0);
      const restored = await startProducer(cluster.url, again);
      closing.push(() => restored.close());
      const left = () => cluster.query('SELECT 1 FROM saga_outbox UNION ALL SELECT 1 FROM saga_outbox_retry');
      await until(async () => (await left()).length === 0, 60_000);
      await until(async () => (await server.backlog()) === 0, 60_000);
      process.stderr.write(`${gated.published} events, ${again.published} published again\n`);
      expect(again.published).toBeGreaterThan(events / 2);
      expect(await run.taken()).toEqual(run.expected(await run.committed()));
    }, 180_000);
  });
});
