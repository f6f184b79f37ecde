import { randomBytes } from 'node:crypto';
import { RabbitMqBroker, type RabbitMqBrokerOptions } from '../../../lib/rabbitmq.js';
import { itemOf, itemsOf, patient, statuses, told } from '../../support/brokers/broker-item.js';
import { RabbitMqListener, rabbitMqUrl } from '../../support/brokers/rabbitmq.js';
import { describeWith } from '../../support/requirement.js';
import { TcpProxy } from '../../support/tcp-proxy.js';
import { until } from '../../support/until.js';

const OK = { status: 'ok' };
const UNROUTABLE = { status: 'rejected', reason: 'unroutable' };

describeWith('rabbitmq', 'RabbitMqBroker on a server', () => {
  const exchange = `sagaz-test-${randomBytes(4).toString('hex')}`;
  let listener: RabbitMqListener;
  const brokers: RabbitMqBroker[] = [];
  const open = async (options: Partial<RabbitMqBrokerOptions> = {}) => {
    const broker = new RabbitMqBroker({ url: rabbitMqUrl(), exchange, ...options });
    brokers.push(broker);
    await broker.connect();
    return broker;
  };
  beforeAll(async () => {
    listener = await RabbitMqListener.on(exchange);
  });
  afterEach(async () => {
    for (const broker of brokers.splice(0)) await broker.close();
  });
  afterAll(() => listener.close());

  it('pitfall 25: an event that no queue is bound for is rejected, however many others go through', async () => {
    const broker = await open();
    const received = await listener.raw('known.*');
    const batch = ['known.a', 'unknown.b', 'known.c', 'unknown.d'].map((type) => itemOf({ type }));
    expect(await broker.publish(batch, patient())).toEqual([OK, UNROUTABLE, OK, UNROUTABLE]);
    await until(() => received.length === 2);
  });

  it('takes it for published where that was asked for', async () => {
    const broker = await open({ onUnroutable: 'drop' });
    expect(await broker.publish([itemOf({ type: 'nobody.asked' })], patient())).toEqual([OK]);
  });

  it('rejects an event whose type is longer than a routing key can be', async () => {
    const broker = await open();
    expect(await broker.publish([itemOf({ type: 'x'.repeat(256) })], patient())).toEqual([UNROUTABLE]);
  });

  it('marks messages as persistent, and says what they are', async () => {
    const broker = await open();
    const received = await listener.raw('marked');
    const item = itemOf({ type: 'marked', payload: { id: 5 } });
    await broker.publish([item], patient());
    await until(() => received.length === 1);
    expect(received[0]?.content.toString()).toBe('{"pattern":"marked","data":{"id":5}}');
    expect(received[0]?.properties).toMatchObject({
      ...{ deliveryMode: 2, messageId: item.eventId, type: 'marked', contentType: 'application/json' },
      timestamp: Math.floor(Date.parse(item.headers['occurredAt'] ?? '') / 1_000),
    });
  });

  it('half of a batch nacked: those are retryable, the others are published', async () => {
    const broker = await open();
    const queue = await listener.full('full', 5);
    const outcomes = await told(broker, itemsOf('full', 10));
    expect(statuses(outcomes)).toEqual([
      ...Array<string>(5).fill('ok'),
      ...Array<string>(5).fill('retryable'),
    ]);
    expect(outcomes[9]).toMatchObject({ reason: expect.stringContaining('nack') as unknown });
    await broker.ping();
    expect((await listener.channel.checkQueue(queue)).messageCount).toBe(5);
  });

  it('does not tell the password of wrong credentials, and knows that waiting does not help', async () => {
    const url = new URL(rabbitMqUrl());
    url.password = 'hunter2%21';
    const broker = new RabbitMqBroker({ url: url.href, exchange });
    const error: unknown = await broker.connect().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'SAGAZ_BROKER_UNAVAILABLE', refused: true });
    expect((error as Error).message).toContain(`amqp://${url.host}`);
    const outcomes = await told(broker, [itemOf({ type: 'x' })]);
    for (const text of [(error as Error).stack, JSON.stringify([error, outcomes])])
      expect(text).not.toMatch(/hunter2/);
    expect(statuses(outcomes)).toEqual(['untold']);
  });

  it('refuses an exchange of another type, and a virtual host that is not there', async () => {
    const url = new URL(rabbitMqUrl());
    const refused = { code: 'SAGAZ_BROKER_UNAVAILABLE', refused: true };
    await expect(open({ exchange: 'amq.direct' })).rejects.toMatchObject(refused);
    url.pathname = '/nowhere';
    await expect(open({ url: url.href })).rejects.toMatchObject(refused);
  });

  it('says that a server is not there, and publishes as soon as it is', async () => {
    const proxy = await TcpProxy.to(portOf(rabbitMqUrl()));
    const { port } = proxy;
    await proxy.close();
    const broker = new RabbitMqBroker({ url: through(port), exchange });
    brokers.push(broker);
    const unavailable = { code: 'SAGAZ_BROKER_UNAVAILABLE', refused: false };
    await expect(broker.connect()).rejects.toMatchObject(unavailable);
    await expect(broker.ping()).rejects.toMatchObject(unavailable);
    expect(statuses(await told(broker, itemsOf('late', 2)))).toEqual(['untold', 'untold']);
  });

  describe('through a network that fails', () => {
    let proxy: TcpProxy;
    beforeEach(async () => {
      proxy = await TcpProxy.to(portOf(rabbitMqUrl()));
    });
    afterEach(() => proxy.close());

    it('a lost confirm: nothing is told of what may have arrived, and it comes twice rather than never', async () => {
      const broker = await open({ url: through(proxy.port) });
      const received = await listener.raw('doubt');
      const batch = itemsOf('doubt', 3);
      proxy.mute = true;
      const publishing = told(broker, batch);
      await until(() => received.length === 3);
      proxy.cut();
      expect(statuses(await publishing)).toEqual(['untold', 'untold', 'untold']);
      proxy.mute = false;
      expect(await broker.publish(batch, patient())).toEqual([OK, OK, OK]);
      await until(() => received.length === 6);
    });

    it('a connection that does not confirm in time is replaced, and what it took of the window is free', async () => {
      const broker = await open({ url: through(proxy.port), window: 3 });
      const received = await listener.raw('slow');
      proxy.mute = true;
      const limit = new AbortController();
      const publishing = told(broker, itemsOf('slow', 3), limit.signal);
      await until(() => received.length === 3);
      limit.abort();
      expect(statuses(await publishing)).toEqual(['untold', 'untold', 'untold']);
      proxy.mute = false;
      // The old one has lost bytes for good.
      expect(await broker.publish(itemsOf('slow', 2), patient())).toEqual([OK, OK]);
    });

    it('loses nothing and keeps first deliveries in order when its connection is cut under load', async () => {
      const broker = await open({ url: through(proxy.port), window: 100 });
      const received = await listener.raw('load');
      const left = itemsOf('load', 20_000, 7);
      let cuts = 0;
      let going = true;
      const cutting = (async () => {
        for (let target = 1_000; going; target += 1_000) {
          await until(() => received.length >= target || !going);
          if (going && proxy.connections > 0) {
            proxy.cut();
            cuts += 1;
          }
        }
      })();
      while (left.length > 0) {
        const batch = left.slice(0, 500);
        const outcomes = await told(broker, batch);
        const first = outcomes.findIndex(({ status }) => status !== 'ok');
        left.splice(0, first === -1 ? batch.length : first);
      }
      going = false;
      await cutting;
      await until(
        () => new Set(received.map(({ properties }) => properties.messageId as string)).size === 20_000,
      );
      expect(cuts).toBeGreaterThan(5);
      expect(inversions(received.map(({ content }) => numberIn(content.toString())))).toBe(0);
    });
  });

  function through(port: number): string {
    const url = new URL(rabbitMqUrl());
    url.port = String(port);
    return url.href;
  }
});

function portOf(url: string): number {
  return Number(new URL(url).port || 5672);
}

const numberIn = (text: string) => (JSON.parse(text) as { data: { n: number } }).data.n;

/** First deliveries that come after a later one. All of them were published in one order. */
function inversions(numbers: readonly number[]): number {
  const seen = new Set<number>();
  let highest = -1;
  let wrong = 0;
  for (const n of numbers) {
    if (seen.has(n)) continue;
    seen.add(n);
    if (n < highest) wrong += 1;
    highest = Math.max(highest, n);
  }
  return wrong;
}
