import { connect } from 'amqplib';
import { uuidV7 } from '../../../lib/events/uuid-v7.js';
import { RabbitMqBroker } from '../../../lib/rabbitmq.js';
import { RedisStreamsBroker } from '../../../lib/redis.js';
import {
  killedKafka,
  killedRabbitMq,
  killedRedis,
  type KilledServer,
} from '../../support/brokers/killed-server.js';
import { RedisListener } from '../../support/brokers/redis.js';
import { rabbitMqUrl } from '../../support/brokers/rabbitmq.js';
import { describeWith } from '../../support/requirement.js';
import { startSagaProcess, stopSagaProcesses } from '../../support/saga-process.js';
import { applicationDatabase, type ApplicationDatabase } from '../../support/test-data-source.js';
import { until } from '../../support/until.js';

/** From the outbox in PostgreSQL into real brokers. */
describeWith('rabbitmq', 'the relay and two brokers', () => {
  let database: ApplicationDatabase;
  beforeEach(async () => {
    database = await applicationDatabase();
  });
  afterEach(async () => {
    await stopSagaProcesses();
    await database.close();
  });

  describeWith('redis', 'RabbitMQ and Redis', () => {
    it('gives each its own copy, its own dead letters, and those another round under their ids', async () => {
      const redisUrl = process.env['REDIS_URL'] ?? '';
      const name = `events-${uuidV7()}`;
      const streams = new RedisListener(redisUrl, `${name}:`);
      const inStream = await streams.receive('order.placed');
      const connection = await connect(rabbitMqUrl());
      const channel = await connection.createChannel();
      const { runtime, application } = await startSagaProcess(database.url, [], {
        broker: new RabbitMqBroker({ url: rabbitMqUrl(), exchange: name }),
        brokers: { streams: new RedisStreamsBroker({ url: redisUrl, streamPrefix: `${name}:` }) },
        routes: [{ type: 'order.*', to: ['default', 'streams'] }],
      });
      const [id] = await application.transaction((manager) =>
        runtime.outbox.publish(manager, { type: 'order.placed', key: 'k', payload: { n: 1 } }),
      );
      await until(() => inStream.length === 1);
      await until(async () => (await runtime.outboxAdmin.deadLetters()).length === 1);
      expect(await runtime.outboxAdmin.deadLetters()).toMatchObject([
        { eventId: id, destination: 'default', reason: 'rejected: unroutable' },
      ]);

      const { queue } = await channel.assertQueue('', { exclusive: true });
      await channel.bindQueue(queue, name, 'order.#');
      expect(await runtime.outboxAdmin.requeue({ destination: 'default' })).toBe(1);
      await until(async () => (await channel.checkQueue(queue)).messageCount === 1);
      const message = await channel.get(queue, { noAck: true });
      expect(message && message.properties.messageId).toBe(id);
      expect([inStream.length, await runtime.outboxAdmin.deadLetters()]).toEqual([1, []]);

      await stopSagaProcesses();
      await channel.deleteExchange(name);
      await connection.close();
      await streams.close();
    }, 60_000);
  });
});

for (const [service, name, start] of [
  ['rabbitmq-server', 'a RabbitMQ', killedRabbitMq],
  ['kafka', 'a Kafka', killedKafka],
  ['redis-server', 'a Redis', killedRedis],
] as const)
  describeWith(service, `the relay and ${name} that is killed under load`, () => {
    const EVENTS = 6_000;
    const KEYS = 23;
    let database: ApplicationDatabase;
    let server: KilledServer;
    beforeAll(async () => {
      database = await applicationDatabase();
      server = await start();
    }, 120_000);
    afterAll(async () => {
      await stopSagaProcesses();
      await server.remove();
      await database.close();
    }, 60_000);

    it('lose nothing, give up nothing and keep the order of each key', async () => {
      const { runtime, application } = await startSagaProcess(database.url, [], {
        ...{ broker: server.broker, outbox: { batchSize: 200 } },
      });
      let written = 0;
      const writing = (async () => {
        for (; written < EVENTS; written += 20)
          await application.transaction((manager) =>
            runtime.outbox.publish(
              manager,
              Array.from({ length: 20 }, (_, n) => ({
                ...{ type: 'counted', key: `key ${(written + n) % KEYS}`, payload: written + n },
              })),
            ),
          );
      })();
      await until(() => written > EVENTS / 4, 30_000);
      await server.kill();
      await until(() => written > EVENTS / 2, 30_000);
      await server.up();
      await writing;
      const left = () =>
        application.query<unknown[]>(
          'SELECT 1 FROM saga_outbox UNION ALL SELECT 1 FROM saga_outbox_retry UNION ALL SELECT 1 FROM saga_outbox_dead_letter',
        );
      await until(async () => (await left()).length === 0, 120_000).catch(async (error: unknown) => {
        const dead = 'SELECT reason, count(*)::int FROM saga_outbox_dead_letter GROUP BY 1';
        throw new Error(`left: ${JSON.stringify(await application.query(dead))}`, { cause: error });
      });

      const first = new Map<number, string>();
      await server.read('counted', ({ payload, headers }) => {
        if (!first.has(payload as number)) first.set(payload as number, headers['key'] ?? '');
      });
      await until(() => first.size === EVENTS, 30_000);
      const last = new Map<string, number>();
      const inversions = [...first].filter(([n, key]) => {
        const before = last.get(key) ?? -1;
        last.set(key, n);
        return n < before;
      });
      expect(inversions).toEqual([]);
      await stopSagaProcesses();
    }, 300_000);
  });
