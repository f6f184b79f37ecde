import { randomBytes } from 'node:crypto';
import { connect } from 'amqplib';
import { RabbitMqBroker } from 'nestjs-sagaz/rabbitmq';
import { headersOf, TYPE, type Target } from './target.js';

/** A topic exchange with one durable classic queue, which nobody reads. */
export async function rabbitMqTarget(url: string): Promise<Target> {
  const exchange = `sagaz-bench-${randomBytes(4).toString('hex')}`;
  const connection = await connect(url, { noDelay: true });
  const channel = await connection.createConfirmChannel();
  await channel.assertExchange(exchange, 'topic', { durable: true });
  const { queue } = await channel.assertQueue(exchange, { durable: true });
  await channel.bindQueue(queue, exchange, TYPE);
  return {
    ...{ name: 'rabbitmq', rawBar: 0.5, broker: () => new RabbitMqBroker({ url, exchange }) },
    async publish(batch) {
      for (const event of batch) {
        const { type, payload, event_id: messageId } = event;
        const body = Buffer.from(`{"pattern":"${type}","data":${payload}}`);
        const properties = { persistent: true, contentType: 'application/json', messageId, type };
        channel.publish(exchange, type, body, { ...properties, headers: headersOf(event) });
      }
      await channel.waitForConfirms();
    },
    count: async () => (await channel.checkQueue(queue)).messageCount,
    empty: async () => void (await channel.purgeQueue(queue)),
    async close() {
      await channel.deleteQueue(queue);
      await channel.deleteExchange(exchange);
      await connection.close();
    },
  };
}
