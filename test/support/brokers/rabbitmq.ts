import { connect, type Channel, type ChannelModel, type ConsumeMessage } from 'amqplib';
import type { ReceivedMessage } from '../../conformance/broker.contract.js';

export const rabbitMqUrl = () => process.env['RABBITMQ_URL'] ?? '';

/** A consumer beside the library, with a queue of its own for each type. */
export class RabbitMqListener {
  private constructor(
    private readonly connection: ChannelModel,
    readonly channel: Channel,
    private readonly exchange: string,
  ) {}

  static async on(exchange: string): Promise<RabbitMqListener> {
    const connection = await connect(rabbitMqUrl());
    const channel = await connection.createChannel();
    await channel.assertExchange(exchange, 'topic', { durable: true });
    return new RabbitMqListener(connection, channel, exchange);
  }

  async raw(pattern: string, args: Record<string, unknown> = {}): Promise<ConsumeMessage[]> {
    const { queue } = await this.channel.assertQueue('', { exclusive: true, arguments: args });
    await this.channel.bindQueue(queue, this.exchange, pattern);
    const received: ConsumeMessage[] = [];
    await this.channel.consume(queue, (message) => void (message && received.push(message)), { noAck: true });
    return received;
  }

  /** A queue that refuses what is more than so many messages, and that nobody reads. */
  async full(pattern: string, length: number): Promise<string> {
    const limits = { 'x-max-length': length, 'x-overflow': 'reject-publish' };
    const { queue } = await this.channel.assertQueue('', { exclusive: true, arguments: limits });
    await this.channel.bindQueue(queue, this.exchange, pattern);
    return queue;
  }

  async receive(type: string): Promise<readonly ReceivedMessage[]> {
    const { queue } = await this.channel.assertQueue('', { exclusive: true });
    await this.channel.bindQueue(queue, this.exchange, type);
    const received: ReceivedMessage[] = [];
    const take = (message: ConsumeMessage | null) => {
      if (!message) return;
      const { data } = JSON.parse(message.content.toString()) as { data: unknown };
      received.push({
        type: message.fields.routingKey,
        payload: JSON.stringify(data),
        headers: message.properties.headers as Record<string, string>,
      });
    };
    await this.channel.consume(queue, take, { noAck: true });
    return received;
  }

  /** Ends the consumer, and removes the exchange. */
  async close(): Promise<void> {
    await this.channel.deleteExchange(this.exchange);
    await this.connection.close();
  }
}
