import { Transport, type MicroserviceOptions } from '@nestjs/microservices';
import { connect } from 'amqplib';
import { Kafka, logLevel } from 'kafkajs';
import { InMemoryBroker, type MessageBroker } from 'nestjs-sagaz';
import { KafkaBroker } from 'nestjs-sagaz/kafka';
import { InMemoryTransport, RedisStreamsTransport } from 'nestjs-sagaz/microservices';
import { RabbitMqBroker } from 'nestjs-sagaz/rabbitmq';
import { RedisStreamsBroker } from 'nestjs-sagaz/redis';
import type { Config, ServiceName } from './config.js';
import { BILL_MADE, ORDER_COMPLETED } from './events.js';

const EXCHANGE = 'shop-events';
const PREFIX = 'shop:';

/** Where a service publishes. */
export function brokerOf(config: Config): MessageBroker {
  switch (config.SAGAZ_BROKER) {
    case 'rabbitmq':
      return new RabbitMqBroker({ url: config.RABBITMQ_URL, exchange: EXCHANGE });
    case 'kafka':
      return new KafkaBroker({ brokers: config.KAFKA_BROKERS, clientId: 'shop' });
    case 'redis':
      return new RedisStreamsBroker({ url: config.REDIS_URL, streamPrefix: PREFIX, trim: 'minid' });
    case 'memory':
      return new InMemoryBroker();
  }
}

/** Where a service gets its events from. */
export function transportOf(
  config: Config,
  service: ServiceName,
  broker: MessageBroker,
): MicroserviceOptions {
  switch (config.SAGAZ_BROKER) {
    case 'rabbitmq':
      return {
        transport: Transport.RMQ,
        options: {
          urls: [config.RABBITMQ_URL],
          queue: `shop-${service}`,
          exchange: EXCHANGE,
          exchangeType: 'topic',
          wildcards: true,
          // Nest's default takes messages for done before they are.
          noAck: false,
          prefetchCount: 20,
          queueOptions: {
            durable: true,
            deadLetterExchange: '',
            deadLetterRoutingKey: deadQueue(service),
            // With these RabbitMQ loses no dead letter when it crashes.
            overflow: 'reject-publish',
            arguments: { 'x-queue-type': 'quorum', 'x-dead-letter-strategy': 'at-least-once' },
          },
        },
      };
    case 'kafka':
      return {
        transport: Transport.KAFKA,
        options: {
          client: { brokers: config.KAFKA_BROKERS, clientId: `shop-${service}`, logLevel: logLevel.ERROR },
          consumer: { groupId: `shop-${service}` },
          subscribe: { fromBeginning: true },
        },
      };
    case 'redis':
      return {
        strategy: new RedisStreamsTransport({
          url: config.REDIS_URL,
          streamPrefix: PREFIX,
          group: `shop-${service}`,
        }),
      };
    case 'memory':
      return { strategy: new InMemoryTransport(broker as InMemoryBroker) };
  }
}

/** What operators make once: topics, and queues for dead letters. */
export async function prepareBroker(config: Config): Promise<void> {
  if (config.SAGAZ_BROKER === 'rabbitmq') {
    const connection = await connect(config.RABBITMQ_URL);
    const channel = await connection.createChannel();
    for (const service of ['billing', 'mail'] as const)
      await channel.assertQueue(deadQueue(service), { durable: true });
    await connection.close();
  }
  if (config.SAGAZ_BROKER === 'kafka') {
    const kafka = new Kafka({ brokers: config.KAFKA_BROKERS, clientId: 'shop', logLevel: logLevel.ERROR });
    const admin = kafka.admin();
    await admin.connect();
    const there = await admin.listTopics();
    const topics = [ORDER_COMPLETED, BILL_MADE]
      .flatMap((topic) => [topic, `${topic}.dead-letter`])
      .filter((topic) => !there.includes(topic));
    await admin.createTopics({
      // kafkajs gives up waiting when a busy node does not know a topic yet.
      ...{ waitForLeaders: false, topics: topics.map((topic) => ({ topic, numPartitions: 3 })) },
    });
    await admin.disconnect();
  }
}

function deadQueue(service: ServiceName): string {
  return `shop-${service}-dead`;
}
