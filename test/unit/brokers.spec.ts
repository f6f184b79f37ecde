import { ClientProxyFactory, ServerTCP, Transport } from '@nestjs/microservices';
import { cloudEvent, cloudEventAttributes, nestEvent } from '../../lib/brokers/envelope.js';
import { resolveOptions } from '../../lib/options/resolve-options.js';
import { memoryPersistence } from '../../lib/persistence/memory/memory-persistence.js';
import { systemClock } from '../../lib/runtime/clock.js';
import { SagazRuntime } from '../../lib/sagaz-runtime.js';
import { BrokerUnavailableError, InMemoryBroker, SagazOptionsError } from '../../lib/index.js';
import { KafkaBroker, type KafkaBrokerOptions } from '../../lib/kafka.js';
import { ClientProxyBroker, type ClientProxyBrokerOptions } from '../../lib/microservices.js';
import { RabbitMqBroker, type RabbitMqBrokerOptions } from '../../lib/rabbitmq.js';
import { RedisStreamsBroker, type RedisStreamsBrokerOptions } from '../../lib/redis.js';
import { itemOf, patient, statuses, told } from '../support/brokers/broker-item.js';
import { freePort } from '../support/services/free-port.js';
import { MemoryLog } from '../support/memory-log.js';

function faultsOf(make: () => unknown): readonly string[] {
  try {
    make();
  } catch (error) {
    if (error instanceof SagazOptionsError) return error.faults;
    throw error;
  }
  return [];
}

describe('the envelopes', () => {
  const item = itemOf({
    type: 'order.completed',
    payload: { orderId: 'a', price: 2.5 },
    headers: { sagaId: 's-1', correlationId: 'c-1', traceparent: '00-1-2-01', tenant: 'acme' },
  });

  it('nest has nothing but pattern and data, so that Nest does not take an event for a request', () => {
    expect(nestEvent(item)).toBe('{"pattern":"order.completed","data":{"orderId":"a","price":2.5}}');
  });

  it('cloudevents has the attributes that version 1.0 wants, and our own in small letters', () => {
    const event = JSON.parse(cloudEvent(item, item.headers)) as Record<string, unknown>;
    expect(event).toEqual({
      specversion: '1.0',
      id: item.eventId,
      source: '/nestjs-sagaz',
      type: 'order.completed',
      time: item.headers['occurredAt'],
      datacontenttype: 'application/json',
      partitionkey: 'order-1',
      sagaid: 's-1',
      correlationid: 'c-1',
      traceparent: '00-1-2-01',
      data: { orderId: 'a', price: 2.5 },
    });
    for (const name of Object.keys(event)) expect(name).toMatch(/^[a-z0-9]{1,20}$/);
  });

  it('leaves out what an event does not have', () => {
    const plain = itemOf({ type: 'x' });
    expect(Object.keys(cloudEventAttributes(plain, plain.headers))).not.toContain('sagaid');
  });
});

describe('RabbitMqBroker', () => {
  const rabbit = (options: unknown) => () => new RabbitMqBroker(options as RabbitMqBrokerOptions);

  it('tells every wrong option, and nothing of a URL', () => {
    const faults = faultsOf(
      rabbit({ url: 'http://user:hunter2@host', window: 0, onUnroutable: 'dropp', exchange: '', tsl: {} }),
    );
    expect(faults).toEqual([
      'unknown option "tsl"; did you mean "url"?',
      'url: expected a URL that begins with amqp:// or amqps://, got a text',
      "exchange: expected a text of 1 to 255 bytes, got ''",
      'window: expected a whole number from 1 to 65535, got 0',
      "onUnroutable: expected one of 'dead-letter', 'drop', got 'dropp'; did you mean \"drop\"?",
    ]);
  });

  it('wants a URL, and no certificates for a connection without TLS', () => {
    expect(faultsOf(rabbit({}))).toEqual([
      'url: expected a URL that begins with amqp:// or amqps://, got undefined',
    ]);
    expect(faultsOf(rabbit({ url: 'hunter2' }))).toEqual([
      'url: expected a URL that begins with amqp:// or amqps://, got a text',
    ]);
    expect(faultsOf(rabbit({ url: 'amqp://host', tls: {} }))).toEqual([
      'tls: is of use with an amqps:// URL only',
    ]);
  });
});

describe('RedisStreamsBroker', () => {
  const redis = (options: unknown) => () => new RedisStreamsBroker(options as RedisStreamsBrokerOptions);

  it('tells every wrong option, and nothing of a URL', () => {
    expect(faultsOf(redis({ url: 'amqp://user:hunter2@host', trim: 'maxlen', streamPrefix: 5 }))).toEqual([
      'url: expected a URL that begins with redis:// or rediss://, got a text',
      'streamPrefix: expected a text that is not empty, got 5',
      "trim: expected false or 'minid', got 'maxlen'",
    ]);
  });

  it('wants a URL or a client, not both, and no cluster', () => {
    const client = { duplicate: () => undefined };
    expect(faultsOf(redis({}))).toEqual(['url, client: expected one of the two']);
    expect(faultsOf(redis({ url: 'redis://host', client }))).toEqual([
      'url, client: expected one of the two',
    ]);
    expect(faultsOf(redis({ client: { ...client, isCluster: true } }))).toEqual([
      'client: expected a client of ioredis, and no cluster, got a cluster',
    ]);
    expect(faultsOf(redis({ client: 'redis' }))).toEqual([
      "client: expected a client of ioredis, and no cluster, got 'redis'",
    ]);
  });
});

describe('KafkaBroker', () => {
  const kafka = (options: unknown) => () => new KafkaBroker(options as KafkaBrokerOptions);

  it('tells every wrong option, and nothing of a URL or of credentials', () => {
    expect(
      faultsOf(
        kafka({ brokers: ['kafka://user:hunter2@host:9092'], sasl: 'hunter2', ssl: 1, compression: 'zstd' }),
      ),
    ).toEqual([
      "brokers: expected an array of 'host:port', got an array",
      'ssl: expected true, false or an object of TLS options, got 1',
      'sasl: expected an object with a mechanism, as kafkajs takes it',
      "compression: expected one of 'none', 'gzip', got 'zstd'",
    ]);
    expect(faultsOf(kafka({ brokers: 'host:9092' }))).toEqual([
      "brokers: expected an array of 'host:port', got a text",
    ]);
  });

  it('wants brokers or a client, and not what belongs to the other', () => {
    const client = { producer: () => undefined, admin: () => undefined };
    expect(faultsOf(kafka({}))).toEqual(['brokers, client: expected one of the two']);
    expect(faultsOf(kafka({ client, clientId: 'mine', ssl: true }))).toEqual([
      'clientId, ssl: of no use beside client, which has its own',
    ]);
    expect(faultsOf(kafka({ client: {} }))).toEqual([
      'client: expected a client of kafkajs, got a value of type Object',
    ]);
  });

  // One node alone always has enough of them: here the answer of a cluster is made up.
  it('no event is at fault when the cluster has too few replicas', async () => {
    let answer: Error | undefined = Object.assign(new Error('fewer in-sync replicas than required'), {
      type: 'NOT_ENOUGH_REPLICAS',
    });
    const nothing = () => Promise.resolve();
    const client = {
      producer: () => ({
        ...{ connect: nothing, disconnect: nothing },
        sendBatch: () => (answer ? Promise.reject(answer) : Promise.resolve()),
      }),
      admin: () => ({ connect: nothing, disconnect: nothing, describeCluster: nothing }),
    };
    const broker = new KafkaBroker({ client } as unknown as KafkaBrokerOptions);
    const batch = [itemOf({ type: 'a' }), itemOf({ type: 'b' })];
    expect(statuses(await told(broker, batch))).toEqual(['untold', 'untold']);
    await expect(broker.ping()).rejects.toThrow('NOT_ENOUGH_REPLICAS');
    answer = undefined;
    expect(await broker.publish(batch, patient())).toEqual([{ status: 'ok' }, { status: 'ok' }]);
    await broker.ping();
  });
});

describe('ClientProxyBroker', () => {
  const proxy = (options: unknown) => () => new ClientProxyBroker(options as ClientProxyBrokerOptions);

  it('wants a client', () => {
    expect(faultsOf(proxy({ client: 'nats://user:hunter2@host' }))).toEqual([
      'client: expected a client of @nestjs/microservices, got a text',
    ]);
  });

  it("a server that is not there is an outage, and an event without payload is nobody else's fault", async () => {
    const port = await freePort();
    const options = { host: '127.0.0.1', port };
    const client = () => ClientProxyFactory.create({ transport: Transport.TCP, options });
    const broker = new ClientProxyBroker({ client: client() });
    await expect(broker.connect()).rejects.toMatchObject({
      code: 'SAGAZ_BROKER_UNAVAILABLE',
      refused: false,
    });
    expect(statuses(await told(broker, [itemOf({ type: 'a' })]))).toEqual(['untold']);
    await expect(broker.ping()).rejects.toThrow();
    await broker.close();

    const server = new ServerTCP(options);
    await new Promise<void>((resolve) => server.listen(() => resolve()));
    const other = new ClientProxyBroker({ client: client() });
    const batch = [null, { n: 1 }].map((payload) => itemOf({ type: 'a', payload }));
    expect(await other.publish(batch, patient())).toEqual([
      { status: 'rejected', reason: 'no_payload' },
      { status: 'ok' },
    ]);
    await other.ping();
    await other.close();
    server.close();
  });
});

describe('a process whose broker cannot connect', () => {
  /** Starts it and ends it. @returns what it said */
  async function begin(refused: boolean): Promise<readonly string[]> {
    const broker = new InMemoryBroker();
    broker.connect = () => Promise.reject(new BrokerUnavailableError('Broker at host', 'because', refused));
    const log = new MemoryLog();
    const runtime = new SagazRuntime({
      ...{ options: resolveOptions({ broker }, {}), persistence: memoryPersistence(systemClock) as never },
      ...{ clock: systemClock, log },
    });
    await runtime.open();
    try {
      await runtime.begin();
    } finally {
      await runtime.drain();
      await runtime.close();
    }
    return log.lines;
  }

  it('starts when it is down: events wait for it', async () => {
    expect(await begin(false)).toContain(
      'warn destination "default": Broker at host is not available: because; its events wait until it is there',
    );
  });

  it('does not start when it is refused', async () => {
    await expect(begin(true)).rejects.toThrow('Broker at host refuses this client: because');
  });
});
