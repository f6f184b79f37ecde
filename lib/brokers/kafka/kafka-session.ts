import type { CompressionTypes, Producer } from 'kafkajs';
import { groupBy } from '../../runtime/group-by.js';
import type { KafkaMessage } from './kafka-message.js';

/**
 * A producer, until a send of it fails. kafkajs then takes back the sequence numbers of that send, also of what has arrived,
 * and the cluster would drop other messages of the same numbers as repeats, and confirm them.
 */
export class KafkaSession {
  private last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly producer: Producer,
    private readonly compression: CompressionTypes,
  ) {}

  async send(messages: readonly KafkaMessage[]): Promise<true> {
    const topics = groupBy(messages, ({ topic }) => topic);
    const topicMessages = [...topics].map(([topic, of]) => ({
      topic,
      messages: of.map(({ message }) => message),
    }));
    const sending = this.producer.sendBatch({ topicMessages, acks: -1, compression: this.compression });
    this.last = sending;
    await sending;
    return true;
  }

  /** Does not wait for a send that is under way. */
  async end(): Promise<void> {
    const disconnect = () => this.producer.disconnect().catch(() => undefined);
    await disconnect();
    // A send that repeats itself connects anew.
    void this.last.then(disconnect, disconnect);
  }
}
