import type { MessageBroker } from 'nestjs-sagaz';
import pg from 'pg';
import { atLeast, type Bench, type BenchSettings, type Figure } from '../bench.js';
import { aboutServer, benchDatabase, benchServer } from '../database.js';
import { median } from '../interleaved.js';
import { migrate, prepareRelay } from '../library.js';
import { fillOutbox } from './backlog.js';
import { drainBare, type BareEvent } from './bare-relay.js';
import { kafkaTarget } from './targets/kafka.js';
import { rabbitMqTarget } from './targets/rabbitmq.js';
import { redisTarget } from './targets/redis.js';
import type { Target } from './targets/target.js';

const FULL = { events: 50_000, rounds: 3 };
const QUICK = { events: 2_000, rounds: 1 };
const BATCH = 1_000;
const CONTENDERS = ['ours', 'bare', 'raw'] as const;

type Contender = (typeof CONTENDERS)[number];

export const brokersBench: Bench = {
  name: 'outbox-brokers',
  about: 'events that wait, to RabbitMQ, Kafka and Redis, beside the bare loop and beside the raw clients',
  async run(settings: BenchSettings): Promise<readonly Figure[]> {
    const server = await benchServer();
    const database = await benchDatabase(server.url);
    const client = new pg.Client(database.url);
    await client.connect();
    try {
      settings.tell(await aboutServer(server.url));
      await migrate(database.url);
      const figures: Figure[] = [];
      for (const open of await targets(settings)) {
        const target = await open();
        try {
          figures.push(...(await figuresOf(target, { url: database.url, client, settings })));
        } finally {
          await target.close();
        }
      }
      return figures;
    } finally {
      await client.end();
      await database.drop();
      await server.stop();
    }
  },
};

/** The brokers of this machine, or those that the environment names. */
async function targets({ tell }: BenchSettings): Promise<(() => Promise<Target>)[]> {
  const { findBrokers } = (await import(
    new URL('../../../test/support/services/find-brokers.mjs', import.meta.url).href
  )) as { findBrokers(): Promise<void> };
  await findBrokers();
  const { RABBITMQ_URL, KAFKA_BROKERS, REDIS_URL } = process.env;
  const found = { rabbitmq: RABBITMQ_URL, kafka: KAFKA_BROKERS, redis: REDIS_URL };
  for (const [name, where] of Object.entries(found)) if (!where) tell(`${name} is not there and left out`);
  return [
    ...(RABBITMQ_URL ? [() => rabbitMqTarget(RABBITMQ_URL)] : []),
    ...(KAFKA_BROKERS ? [() => kafkaTarget(KAFKA_BROKERS.split(','))] : []),
    ...(REDIS_URL ? [() => redisTarget(REDIS_URL)] : []),
  ];
}

interface Place {
  readonly url: string;
  readonly client: pg.Client;
  readonly settings: BenchSettings;
}

/** One after the other, several times: what else the machine does hits each of them alike. */
async function figuresOf(target: Target, { url, client, settings }: Place): Promise<Figure[]> {
  const { events, rounds } = settings.quick ? QUICK : FULL;
  const rates: Record<Contender, number[]> = { ours: [], bare: [], raw: [] };
  settings.progress.start(CONTENDERS.length * (rounds + 1));
  for (let round = 0; round <= rounds; round++)
    for (const name of CONTENDERS) {
      // The first round warms up.
      const rate = await measured(name, target, { url, client, events: round === 0 ? BATCH : events });
      if (round > 0) rates[name].push(rate);
      settings.progress.step(`${target.name} ${name}, run ${round} of ${rounds}`);
    }
  settings.progress.stop();
  const [ours, bare, raw] = CONTENDERS.map((name) => median(rates[name])) as [number, number, number];
  const rate = (what: string, value: number): Figure => ({
    ...{ field: `${target.name}${what}`, value, unit: 'events/s' },
  });
  const ratio = (what: string, value: number, bar: number): Figure => ({
    ...{ field: `${target.name}${what}`, value, unit: '', bar: atLeast(bar) },
  });
  return [
    ...[rate('Ours', ours), rate('Bare', bare), rate('Raw', raw)],
    ratio('BareRatio', ours / bare, 0.8),
    ratio('RawRatio', ours / raw, target.rawBar),
  ];
}

async function measured(
  name: Contender,
  target: Target,
  { url, client, events }: { readonly url: string; readonly client: pg.Client; readonly events: number },
): Promise<number> {
  await client.query('TRUNCATE saga_outbox');
  await fillOutbox(client, { events });
  await target.empty();
  const run = { ours: ownRelay, bare: bareRelay, raw: rawClient }[name];
  const rate = (events * 1_000) / (await run(target, url, client));
  const count = await target.count();
  if (count < events) throw new Error(`${target.name} has ${count} of ${events} events`);
  return rate;
}

/** @returns milliseconds until nothing is left */
async function ownRelay(target: Target, url: string, client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ count: number }>('SELECT count(*)::int FROM saga_outbox');
  const broker = target.broker();
  await broker.connect();
  const published = publishedBy(broker, rows[0]?.count ?? 0);
  const relay = await prepareRelay(url, broker);
  try {
    const start = performance.now();
    await relay.begin();
    await published;
    while ((await client.query('SELECT 1 FROM saga_outbox LIMIT 1')).rowCount !== 0);
    return performance.now() - start;
  } finally {
    await relay.close();
  }
}

/** Resolves when it has published so many events. */
function publishedBy(broker: MessageBroker, events: number): Promise<void> {
  const publish = broker.publish.bind(broker);
  let left = events;
  return new Promise((resolve) => {
    broker.publish = async (batch, signal) => {
      const outcomes = await publish(batch, signal);
      left -= outcomes.filter((outcome) => outcome?.status === 'ok').length;
      if (left <= 0) resolve();
      return outcomes;
    };
  });
}

async function bareRelay(target: Target, url: string): Promise<number> {
  const start = performance.now();
  await drainBare(url, (events) => target.publish(events));
  return performance.now() - start;
}

/** The same events without a database. */
async function rawClient(target: Target, _url: string, client: pg.Client): Promise<number> {
  const { rows } = await client.query<BareEvent>('SELECT * FROM saga_outbox ORDER BY shard, id');
  const start = performance.now();
  for (let first = 0; first < rows.length; first += BATCH)
    await target.publish(rows.slice(first, first + BATCH));
  return performance.now() - start;
}
