import { Controller, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Ctx, EventPattern, Payload, RmqContext, Transport } from '@nestjs/microservices';
import { RabbitMqBroker } from '../../../lib/rabbitmq.js';
import { itemOf, itemsOf, patient, told } from '../../support/brokers/broker-item.js';
import { describeWith } from '../../support/requirement.js';
import { RabbitMqNode } from '../../support/services/rabbitmq-node.js';
import { until } from '../../support/until.js';

const OK = { status: 'ok' };
const TOO_LARGE = { status: 'rejected', reason: 'too_large' };

interface Received {
  readonly data: unknown;
  readonly pattern: string;
  readonly id: unknown;
}
const received: Received[] = [];

@Controller()
class OrderListener {
  @EventPattern<string>('order.*')
  order(@Payload() data: unknown, @Ctx() context: RmqContext) {
    const message = context.getMessage() as { properties: { messageId: unknown } };
    received.push({ data, pattern: context.getPattern(), id: message.properties.messageId });
    (context.getChannelRef() as { ack(message: unknown): void }).ack(message);
  }
}

@Module({ controllers: [OrderListener] })
class ListenerModule {}

/** One server for all of it: it takes several seconds to start. */
describeWith('rabbitmq-server', 'RabbitMqBroker and a server that is in trouble', () => {
  let node: RabbitMqNode;
  let broker: RabbitMqBroker;
  let closeListener: () => Promise<void>;
  beforeAll(async () => {
    node = await RabbitMqNode.start();
    const listener = await NestFactory.createMicroservice(ListenerModule, {
      transport: Transport.RMQ,
      options: {
        ...{ urls: [node.url], queue: 'orders', exchange: 'saga-events', wildcards: true, noAck: false },
        queueOptions: { durable: true },
        socketOptions: { reconnectTimeInSeconds: 1 },
      },
      logger: false,
    });
    await listener.listen();
    closeListener = () => listener.close();
    broker = new RabbitMqBroker({ url: node.url, heartbeat: '1s' });
    await broker.connect();
  }, 120_000);
  beforeEach(() => {
    received.length = 0;
  });
  afterAll(async () => {
    await broker.close();
    await closeListener();
    await node.remove();
  }, 60_000);

  it("reaches Nest's own transport: @EventPattern with a wildcard, and its payload unchanged", async () => {
    const items = [
      itemOf({ type: 'order.completed', payload: { id: 7, key: 'k', pattern: 'p', data: [1], value: null } }),
      itemOf({ type: 'order.cancelled', payload: 'because' }),
    ];
    expect(await broker.publish(items, patient())).toEqual([OK, OK]);
    await until(() => received.length === 2);
    expect(received).toEqual(
      items.map(({ type, payload, eventId }) => ({
        ...{ data: JSON.parse(payload) as unknown, pattern: type, id: eventId },
      })),
    );
  });

  it('a memory alarm pauses it, and when the alarm is over it goes on', async () => {
    await node.control('set_vm_memory_high_watermark', '0.000001');
    const limit = new AbortController();
    const refused: string[] = [];
    // The server says so when a publisher has published.
    await until(async () => {
      limit.signal.throwIfAborted();
      const [outcome] = await told(broker, [itemOf({ type: 'order.paused' })], AbortSignal.timeout(500));
      if (outcome?.status === 'untold') refused.push(outcome.reason ?? '');
      return refused.some((reason) => reason.includes('blocked'));
    });
    const down = { code: 'SAGAZ_BROKER_UNAVAILABLE', refused: false };
    await expect(broker.ping()).rejects.toMatchObject(down);
    await node.control('set_vm_memory_high_watermark', '0.4');
    await until(() =>
      broker.ping().then(
        () => true,
        () => false,
      ),
    );
    const item = itemOf({ type: 'order.resumed' });
    expect(await broker.publish([item], patient())).toEqual([OK]);
    await until(() => received.some(({ id }) => id === item.eventId));
  }, 60_000);

  it('a message that is too large is rejected, and takes no other with it', async () => {
    await node.control('eval', 'application:set_env(rabbit, max_message_size, 1000).');
    const own = new RabbitMqBroker({ url: node.url });
    try {
      await own.connect();
      const large = { text: 'x'.repeat(2_000) };
      const batch = [{ n: 1 }, large, { n: 2 }, large, { n: 3 }].map((payload) =>
        itemOf({ type: 'order.sized', payload }),
      );
      expect(await own.publish(batch, patient())).toEqual([OK, TOO_LARGE, OK, TOO_LARGE, OK]);
      expect(await own.publish(batch, patient())).toEqual([OK, TOO_LARGE, OK, TOO_LARGE, OK]);
    } finally {
      await own.close();
      await node.control('eval', 'application:set_env(rabbit, max_message_size, 134217728).');
    }
  });

  it('a type that the user may not publish is rejected as unauthorised, and takes no other with it', async () => {
    await node.control('add_user', 'clerk', 'secret');
    await node.control('set_permissions', '-p', '/', 'clerk', '.*', '.*', '.*');
    await node.control('set_topic_permissions', '-p', '/', 'clerk', 'saga-events', '^order\\.', '.*');
    const own = new RabbitMqBroker({
      url: node.url.replace('guest:guest', 'clerk:secret'),
      onUnroutable: 'drop',
    });
    try {
      await own.connect();
      const batch = ['order.a', 'salary.paid', 'order.b'].map((type) => itemOf({ type }));
      const denied = { status: 'rejected', reason: 'unauthorised' };
      expect(await own.publish(batch, patient())).toEqual([OK, denied, OK]);
    } finally {
      await own.close();
    }
  });

  it('loses nothing when the server is killed under load and started again', async () => {
    const left = itemsOf('order.load', 10_000, 5);
    const restarted = (async () => {
      await until(() => received.length > 1_000);
      await node.kill();
      await node.up();
    })();
    let outages = 0;
    while (left.length > 0) {
      const batch = left.slice(0, 200);
      const outcomes = await told(broker, batch);
      const first = outcomes.findIndex(({ status }) => status !== 'ok');
      left.splice(0, first === -1 ? batch.length : first);
      if (first !== -1) outages += 1;
      if (first !== -1)
        await until(
          () =>
            broker.ping().then(
              () => true,
              () => false,
            ),
          60_000,
        );
    }
    await restarted;
    expect(outages).toBeGreaterThan(0);
    await until(() => new Set(received.map(({ id }) => id)).size === 10_000, 60_000);
  }, 120_000);
});
