import { randomBytes } from 'node:crypto';
import { ClientProxyFactory, ServerTCP, Transport } from '@nestjs/microservices';
import { InMemoryBroker } from '../../lib/index.js';
import { KafkaBroker } from '../../lib/kafka.js';
import { ClientProxyBroker } from '../../lib/microservices.js';
import { RabbitMqBroker } from '../../lib/rabbitmq.js';
import { RedisStreamsBroker } from '../../lib/redis.js';
import { KafkaListener, kafkaBrokers } from '../support/brokers/kafka.js';
import { RabbitMqListener, rabbitMqUrl } from '../support/brokers/rabbitmq.js';
import { RedisListener } from '../support/brokers/redis.js';
import { describeWith } from '../support/requirement.js';
import { freePort } from '../support/services/free-port.js';
import { brokerContract, type BrokerUnderTest, type ReceivedMessage } from './broker.contract.js';

const unique = `sagaz-test-${randomBytes(4).toString('hex')}`;

/** Runs the contract against what `open` gives, and ends it. */
function contractOf(open: () => Promise<BrokerUnderTest & { close(): Promise<void> }>): () => void {
  return () => {
    let subject: Awaited<ReturnType<typeof open>>;
    beforeAll(async () => {
      subject = await open();
      await subject.broker.connect();
    });
    afterAll(async () => {
      await subject.broker.close();
      await subject.close();
    });
    it.each([...brokerContract])('$name', ({ run }) => run(subject));
  };
}

describe(
  'the in-memory broker',
  contractOf(async () => {
    const broker = new InMemoryBroker();
    const all = new Map<string, ReceivedMessage[]>();
    broker.subscribe(async ({ type, payload, headers }) => {
      all.get(type)?.push({ type, payload, headers });
    });
    const receive = async (type: string) => {
      const received: ReceivedMessage[] = [];
      all.set(type, received);
      return received;
    };
    return {
      ...{ broker, receive, another: () => new InMemoryBroker() },
      hasHeaders: true,
      close: async () => undefined,
    };
  }),
);

describe(
  'ClientProxyBroker, by TCP',
  contractOf(async () => {
    const options = { host: '127.0.0.1', port: await freePort() };
    const server = new ServerTCP(options);
    await new Promise<void>((resolve) => server.listen(() => resolve()));
    const another = () =>
      new ClientProxyBroker({ client: ClientProxyFactory.create({ transport: Transport.TCP, options }) });
    const receive = async (type: string) => {
      const received: ReceivedMessage[] = [];
      const take = async (data: unknown) => void received.push({ type, payload: JSON.stringify(data) });
      server.addHandler(type, take as never, true);
      return received;
    };
    return {
      ...{ broker: another(), another, receive, hasHeaders: false },
      close: async () => server.close(),
    };
  }),
);

describeWith(
  'rabbitmq',
  'RabbitMqBroker',
  contractOf(async () => {
    const another = () => new RabbitMqBroker({ url: rabbitMqUrl(), exchange: unique });
    const listener = await RabbitMqListener.on(unique);
    return {
      ...{ broker: another(), another, hasHeaders: true },
      receive: (type) => listener.receive(type),
      close: () => listener.close(),
    };
  }),
);

describeWith(
  'redis',
  'RedisStreamsBroker',
  contractOf(async () => {
    const options = { url: process.env['REDIS_URL'] ?? '', streamPrefix: `${unique}:` };
    const another = () => new RedisStreamsBroker(options);
    const listener = new RedisListener(options.url, options.streamPrefix);
    return {
      ...{ broker: another(), another, hasHeaders: true },
      receive: (type) => listener.receive(type),
      close: () => listener.close(),
    };
  }),
);

describeWith(
  'kafka',
  'KafkaBroker',
  contractOf(async () => {
    const options = { brokers: kafkaBrokers(), topicPrefix: `${unique}.` };
    const another = () => new KafkaBroker(options);
    const listener = await KafkaListener.on(options.brokers, options.topicPrefix);
    return {
      ...{ broker: another(), another, hasHeaders: true },
      receive: (type) => listener.receive(type),
      close: () => listener.close(),
    };
  }),
);
