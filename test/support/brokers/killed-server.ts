import { connect, type ChannelModel, type ConsumeMessage } from 'amqplib';
import type { MessageBroker } from '../../../lib/index.js';
import { KafkaBroker } from '../../../lib/kafka.js';
import { RabbitMqBroker } from '../../../lib/rabbitmq.js';
import { RedisStreamsBroker } from '../../../lib/redis.js';
import { PrivateKafka } from '../services/private-kafka.js';
import { RabbitMqNode } from '../services/rabbitmq-node.js';
import { RedisServer } from '../services/redis-server.js';
import { KafkaListener } from './kafka.js';
import { DEAD, GROUP, TYPE } from './places.js';
import { RedisListener } from './redis.js';
import { safeQueue } from './safe-queue.js';

export interface KeptMessage {
  readonly payload: unknown;
  readonly headers: Readonly<Record<string, string>>;
}

/** A broker with a server of the test's own, of which everything can be read that it was given. */
export interface KilledServer {
  readonly broker: MessageBroker;
  /** What consumers need to know to reach it. */
  readonly address: string;
  /** kill -9. */
  kill(): Promise<void>;
  up(): Promise<void>;
  /** Calls back for all messages of the place, in their order; those that are still to come may follow later. */
  read(place: typeof TYPE | typeof DEAD, take: (message: KeptMessage) => void): Promise<void>;
  /** How many messages the group has not done with. */
  backlog(): Promise<number>;
  remove(): Promise<void>;
}

const EXCHANGE = 'saga-events';

export async function killedRabbitMq(): Promise<KilledServer> {
  const node = await RabbitMqNode.start();
  const setUp = await connect(node.url);
  const channel = await setUp.createChannel();
  await channel.assertExchange(EXCHANGE, 'topic', { durable: true });
  for (const queue of [TYPE, DEAD]) await channel.assertQueue(queue, { durable: true });
  await channel.bindQueue(TYPE, EXCHANGE, '#');
  await channel.assertQueue(GROUP, safeQueue(DEAD));
  await setUp.close();
  await node.keepQueues();
  let reading: ChannelModel | undefined;
  return {
    broker: new RabbitMqBroker({ url: node.url, exchange: EXCHANGE, heartbeat: '1s' }),
    address: node.url,
    kill: () => node.kill(),
    up: () => node.up(),
    remove: async () => {
      await reading?.close();
      await node.remove();
    },
    read: async (place, take) => {
      reading ??= await connect(node.url);
      const receive = (message: ConsumeMessage | null) => {
        if (!message) return;
        const { data } = JSON.parse(message.content.toString()) as { data: unknown };
        take({ payload: data, headers: message.properties.headers ?? {} });
      };
      const reader = await reading.createChannel();
      await reader.consume(place, receive, { noAck: true });
    },
    backlog: async () => {
      const lines = (await node.control('list_queues', 'name', 'messages', '--formatter', 'json')).trim();
      const queues = JSON.parse(lines) as { name: string; messages: number }[];
      return queues.find(({ name }) => name === GROUP)?.messages ?? 0;
    },
  };
}

export async function killedKafka(): Promise<KilledServer> {
  const node = await PrivateKafka.start({ settings: { 'group.min.session.timeout.ms': '500' } });
  const listener = await KafkaListener.on(node.brokers, '');
  await listener.create(TYPE, {}, 3);
  await listener.create(DEAD);
  await listener.admin.disconnect();
  return {
    broker: new KafkaBroker({ brokers: node.brokers }),
    address: node.brokers.join(),
    kill: () => node.kill(),
    up: () => node.up(),
    remove: async () => {
      await listener.admin.connect();
      await listener.close();
      await node.remove();
    },
    read: (place, take) =>
      listener.read(place, ({ value = 'null', headers }) =>
        take({ payload: JSON.parse(value) as unknown, headers }),
      ),
    backlog: async () => {
      const admin = listener.kafka.admin();
      await admin.connect();
      try {
        const ends = await admin.fetchTopicOffsets(TYPE);
        // Nest adds to the name of the group.
        const groupId = `${GROUP}-server`;
        const [done] = await admin.fetchOffsets({ groupId, topics: [TYPE] });
        const at = new Map(done?.partitions.map(({ partition, offset }) => [partition, Number(offset)]));
        return ends.reduce(
          (sum, { partition, high }) => sum + Number(high) - Math.max(0, at.get(partition) ?? 0),
          0,
        );
      } finally {
        await admin.disconnect();
      }
    },
  };
}

export async function killedRedis(): Promise<KilledServer> {
  const server = await RedisServer.start();
  const withStreams = async <T>(work: (streams: RedisListener) => Promise<T>) => {
    const streams = new RedisListener(server.url, '');
    return work(streams).finally(() => streams.close());
  };
  return {
    broker: new RedisStreamsBroker({ url: server.url }),
    address: server.url,
    kill: () => server.kill(),
    up: () => server.up(),
    remove: () => server.remove(),
    read: (place, take) =>
      withStreams(async (streams) => {
        for (const { data = '', headers = '' } of await streams.entries(place))
          take({
            payload: JSON.parse(data) as unknown,
            headers: JSON.parse(headers) as Record<string, string>,
          });
      }),
    backlog: () =>
      withStreams(async ({ client }) => {
        const [group = []] = (await client.xinfo('GROUPS', TYPE)) as unknown[][];
        const of = (name: string) => Number(group[group.indexOf(name) + 1]);
        return of('pending') + of('lag');
      }),
  };
}
