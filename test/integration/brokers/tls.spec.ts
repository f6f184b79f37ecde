import { Redis } from 'ioredis';
import { uuidV7 } from '../../../lib/events/uuid-v7.js';
import { RabbitMqBroker } from '../../../lib/rabbitmq.js';
import { RedisStreamsBroker } from '../../../lib/redis.js';
import { itemOf, patient } from '../../support/brokers/broker-item.js';
import { RabbitMqListener, rabbitMqUrl } from '../../support/brokers/rabbitmq.js';
import { describeWith } from '../../support/requirement.js';
import { startTlsProxy, type TlsProxy } from '../../support/services/tls-proxy.js';

const OK = { status: 'ok' };

/** The address of a broker, as one reaches it through the proxy. */
function through(url: string, protocol: string, { port }: TlsProxy): string {
  const secured = new URL(url.replace(/^\w+:/, `${protocol}:`));
  secured.hostname = '127.0.0.1';
  secured.port = String(port);
  return secured.href;
}

describeWith('openssl', 'over TLS', () => {
  let proxy: TlsProxy;
  afterEach(() => proxy.close());

  describeWith('rabbitmq', 'RabbitMqBroker', () => {
    const exchange = `tls-${uuidV7()}`;
    beforeEach(async () => {
      proxy = await startTlsProxy(Number(new URL(rabbitMqUrl()).port || 5672));
    });

    it('publishes with a certificate that it is told to trust', async () => {
      const listener = await RabbitMqListener.on(exchange);
      await listener.raw('#');
      const url = through(rabbitMqUrl(), 'amqps', proxy);
      const broker = new RabbitMqBroker({ url, exchange, tls: { ca: [Buffer.from(proxy.certificate)] } });
      await broker.connect();
      expect(await broker.publish([itemOf({ type: 'a' })], patient())).toEqual([OK]);
      await broker.close();
      await listener.close();
    });

    it('refuses one that it does not, without a word of the password', async () => {
      const url = new URL(through(rabbitMqUrl(), 'amqps', proxy));
      Object.assign(url, { username: 'guest', password: 's3cret' });
      const broker = new RabbitMqBroker({ url: url.href, exchange });
      const error = await broker.connect().then(() => undefined, String);
      expect(error).toMatch(/self.signed certificate/i);
      expect(error).not.toContain('s3cret');
      await broker.close();
    });
  });

  describeWith('redis', 'RedisStreamsBroker', () => {
    const redisUrl = () => process.env['REDIS_URL'] ?? '';
    beforeEach(async () => {
      proxy = await startTlsProxy(Number(new URL(redisUrl()).port || 6379));
    });

    it('publishes through a client that trusts its certificate, and refuses one that nobody trusts', async () => {
      const url = through(redisUrl(), 'rediss', proxy);
      const client = new Redis(url, { tls: { ca: proxy.certificate }, lazyConnect: true });
      const streamPrefix = `tls-${uuidV7()}:`;
      const broker = new RedisStreamsBroker({ client, streamPrefix });
      await broker.connect();
      expect(await broker.publish([itemOf({ type: 'a' })], patient())).toEqual([OK]);
      await client.connect();
      expect(await client.del(`${streamPrefix}a`)).toBe(1);
      client.disconnect();
      await broker.close();
      const careless = new RedisStreamsBroker({ url });
      await expect(careless.connect()).rejects.toThrow(/self.signed certificate/i);
      await careless.close();
    });
  });
});
