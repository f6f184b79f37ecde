import { randomBytes } from 'node:crypto';
import { Kafka, logLevel, Partitioners } from 'kafkajs';
import { KafkaBroker } from 'nestjs-sagaz/kafka';
import { headersOf, TYPE, type Target } from './target.js';

/** One topic with one partition, made anew for each run: records cannot be removed. */
export async function kafkaTarget(brokers: string[]): Promise<Target> {
  const kafka = new Kafka({ brokers, clientId: 'sagaz-bench', logLevel: logLevel.NOTHING });
  const [admin, producer] = [
    kafka.admin(),
    kafka.producer({ idempotent: true, createPartitioner: Partitioners.DefaultPartitioner }),
  ];
  await Promise.all([admin.connect(), producer.connect()]);
  const name = `sagaz-bench-${randomBytes(4).toString('hex')}`;
  const topics: string[] = [];
  const topicPrefix = () => `${name}-${topics.length}.`;
  const topic = () => topics.at(-1) ?? '';
  return {
    ...{
      name: 'kafka',
      rawBar: 0.35,
      broker: () => new KafkaBroker({ brokers, topicPrefix: topicPrefix() }),
    },
    async publish(batch) {
      const messages = batch.map((event) => ({
        ...{ key: event.key, value: event.payload, headers: headersOf(event) },
      }));
      await producer.send({ topic: topic(), acks: -1, messages });
    },
    async count() {
      const [partition] = await admin.fetchTopicOffsets(topic());
      return Number(partition?.high);
    },
    async empty() {
      topics.push('');
      topics[topics.length - 1] = `${topicPrefix()}${TYPE}`;
      await admin.createTopics({ waitForLeaders: true, topics: [{ topic: topic(), numPartitions: 1 }] });
    },
    async close() {
      await admin.deleteTopics({ topics });
      await Promise.all([admin.disconnect(), producer.disconnect()]);
    },
  };
}
