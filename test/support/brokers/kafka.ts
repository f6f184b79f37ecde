import { Kafka, logLevel, type Admin, type Consumer, type IHeaders } from 'kafkajs';
import type { ReceivedMessage } from '../../conformance/broker.contract.js';
import { until } from '../until.js';

export const kafkaBrokers = () => (process.env['KAFKA_BROKERS'] ?? '').split(',');

const RETRY = { retries: 3, maxRetryTime: 500 };
/** The least that a node allows: it waits so long for a consumer that was cut off before another may have its place. */
const SESSION_MS = 6_000;

/** A message as it stands in a topic. */
export interface KafkaRecord {
  readonly key: string;
  readonly value: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
}

/** Makes topics, and reads them beside the library. */
export class KafkaListener {
  private readonly consumers: Consumer[] = [];
  private readonly topics = new Set<string>();
  private closed = false;

  private constructor(
    readonly kafka: Kafka,
    readonly admin: Admin,
    private readonly prefix: string,
  ) {}

  static async on(brokers: string[], prefix: string): Promise<KafkaListener> {
    const kafka = new Kafka({ brokers, clientId: 'listener', retry: RETRY, logLevel: logLevel.NOTHING });
    const admin = kafka.admin();
    await admin.connect();
    return new KafkaListener(kafka, admin, prefix);
  }

  async create(type: string, settings: Record<string, string> = {}, partitions = 1): Promise<string> {
    const topic = `${this.prefix}${type}`;
    const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }));
    await this.admin.createTopics({
      // kafkajs gives up waiting when a busy node does not know the topic yet.
      ...{ waitForLeaders: false, topics: [{ topic, numPartitions: partitions, configEntries }] },
    });
    await until(() => this.hasLeaders(topic));
    this.topics.add(topic);
    return topic;
  }

  private async hasLeaders(topic: string): Promise<boolean> {
    const found = await this.admin.fetchTopicMetadata({ topics: [topic] }).catch(() => undefined);
    return found?.topics[0]?.partitions.every(({ leader }) => leader >= 0) ?? false;
  }

  /** Records of a topic as they come. */
  async records(type: string): Promise<readonly KafkaRecord[]> {
    const records: KafkaRecord[] = [];
    await this.read(type, (record) => records.push(record));
    return records;
  }

  /** Messages as they come, of envelope `nest`. */
  async receive(type: string): Promise<readonly ReceivedMessage[]> {
    const received: ReceivedMessage[] = [];
    await this.read(type, ({ value = '', headers }) => received.push({ type, payload: value, headers }));
    return received;
  }

  /** Calls back for each record of a topic, as they come. */
  async read(type: string, take: (record: KafkaRecord) => void): Promise<void> {
    const topic = `${this.prefix}${type}`;
    if (!this.topics.has(topic)) await this.create(type);
    // What kafkajs repeats goes on after disconnect, and would keep the process: so it repeats little, and starts anew.
    const retry = { ...RETRY, restartOnFailure: () => Promise.resolve(!this.closed) };
    const consumer = this.kafka.consumer({ groupId: `of-${topic}`, sessionTimeout: SESSION_MS, retry });
    this.consumers.push(consumer);
    await consumer.connect();
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    const textOf = (headers: IHeaders = {}) =>
      Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
    await consumer.run({
      eachMessage: async ({ message: { key, value, headers } }) =>
        take({ key: String(key), value: value?.toString(), headers: textOf(headers) }),
    });
  }

  /** Ends the consumers, and removes the topics. */
  async close(): Promise<void> {
    this.closed = true;
    await Promise.all(this.consumers.map((consumer) => consumer.disconnect()));
    if (this.topics.size > 0) await this.admin.deleteTopics({ topics: [...this.topics] });
    await this.admin.disconnect();
  }
}
