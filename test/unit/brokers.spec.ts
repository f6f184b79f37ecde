import { cloudEvent, cloudEventAttributes, nestEvent } from '../../lib/brokers/envelope.js';
import { resolveOptions } from '../../lib/options/resolve-options.js';
import { memoryPersistence } from '../../lib/persistence/memory/memory-persistence.js';
import { systemClock } from '../../lib/runtime/clock.js';
import { SagazRuntime } from '../../lib/sagaz-runtime.js';
import { BrokerUnavailableError, InMemoryBroker, SagazOptionsError } from '../../lib/index.js';
import { RabbitMqBroker, type RabbitMqBrokerOptions } from '../../lib/rabbitmq.js';
import { RedisStreamsBroker, type RedisStreamsBrokerOptions } from '../../lib/redis.js';
import { itemOf } from '../support/brokers/broker-item.js';
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
