import 'reflect-metadata';
import { Controller, Inject, type INestApplication, type Type } from '@nestjs/common';
import { EventPattern, Payload, Transport, type MicroserviceOptions } from '@nestjs/microservices';
import { connect } from 'amqplib';
import { logLevel } from 'kafkajs';
import type { PublishItem, PublishOutcome } from '../../lib/events/publish.js';
import { uuidV7 } from '../../lib/events/uuid-v7.js';
import { Deferred } from '../../lib/runtime/deferred.js';
import {
  ConsumerInbox,
  IdempotentConsumer,
  InMemoryBroker,
  MessageBroker,
  Outbox,
  SagazModule,
} from '../../lib/index.js';
import { KafkaBroker } from '../../lib/kafka.js';
import { RedisStreamsTransport } from '../../lib/microservices.js';
import { RabbitMqBroker } from '../../lib/rabbitmq.js';
import { RedisStreamsBroker } from '../../lib/redis.js';
import { Test } from '@nestjs/testing';
import { kafkaBrokers, KafkaListener } from '../support/brokers/kafka.js';
import { RedisListener } from '../support/brokers/redis.js';
import { describeWith } from '../support/requirement.js';
import { startApplication } from '../support/test-application.js';
import { applicationDatabase, type ApplicationDatabase } from '../support/test-data-source.js';
import { until } from '../support/until.js';

interface Paid {
  readonly order: number;
  readonly poison?: boolean;
  /** How often its handler fails. */
  readonly failures?: number;
}

const failed = new Map<number, number>();
/** Closed, the handler of order 34 waits at it. */
let gate = new Deferred<void>();

@Controller()
class Billing {
  constructor(
    @Inject(ConsumerInbox) private readonly inbox: ConsumerInbox,
    @Inject(Outbox) private readonly outbox: Outbox,
  ) {}

  @EventPattern<string>('order.paid')
  @IdempotentConsumer('billing', { maxDeliveries: 3 })
  async bill(@Payload() { order, poison = false, failures = 0 }: Paid) {
    await this.inbox.manager?.query('INSERT INTO bill VALUES ($1)', [order]);
    await this.outbox.publish({ type: 'bill.made', payload: order });
    const before = failed.get(order) ?? 0;
    failed.set(order, before + 1);
    if (order === 34) await gate.promise;
    if (poison || before < failures) throw new Error('no paper');
  }
}

/** A second consumer of the same event. */
@Controller()
class Mail {
  constructor(@Inject(ConsumerInbox) private readonly inbox: ConsumerInbox) {}

  @EventPattern<string>('bill.made')
  @IdempotentConsumer('mail')
  async send(@Payload() order: number) {
    await this.inbox.manager?.query('INSERT INTO mail VALUES ($1)', [order]);
  }
}

/** A second consumer in the application of the first. */
@Controller()
class Audit {
  constructor(@Inject(ConsumerInbox) private readonly inbox: ConsumerInbox) {}

  @EventPattern<string>('order.paid')
  @IdempotentConsumer('audit')
  async note(@Payload() { order }: Paid) {
    await this.inbox.manager?.query('INSERT INTO mail VALUES ($1)', [order]);
  }
}

/** Brings every event as often as it is told. */
class RepeatingBroker extends InMemoryBroker {
  times = 3;

  override async publish(
    batch: readonly PublishItem[],
    signal: AbortSignal,
  ): Promise<readonly PublishOutcome[]> {
    for (let n = 1; n < this.times; n++) await super.publish(batch, signal);
    return super.publish(batch, signal);
  }
}

describeWith('postgres', 'an @IdempotentConsumer', () => {
  let database: ApplicationDatabase;
  let app: INestApplication | undefined;

  beforeEach(async () => {
    failed.clear();
    database = await applicationDatabase();
    await database.dataSource.query('CREATE TABLE bill (id int); CREATE TABLE mail (id int)');
  });
  afterEach(async () => {
    await app?.close();
    app = undefined;
    await database.close();
  });

  const ids = async (table: string) =>
    (await database.dataSource.query<{ id: number }[]>(`SELECT id FROM ${table} ORDER BY id`)).map(
      ({ id }) => id,
    );
  const publish = (...orders: readonly Paid[]) =>
    app!
      .get(Outbox)
      .transaction(() =>
        app!.get(Outbox).publish(orders.map((payload) => ({ type: 'order.paid', payload }))),
      );
  const outbox = { retry: { initialInterval: 5, maxInterval: 20 } };
  const start = async (broker: MessageBroker) => {
    app = await startApplication({
      ...{ url: database.url, controllers: [Billing, Mail], sagaz: { broker, outbox } },
    });
    return app;
  };

  it('takes each message once, however often it comes, in one transaction with what it writes', async () => {
    await start(new RepeatingBroker());
    await publish({ order: 1 }, { order: 2, failures: 2 });
    await until(async () => (await ids('mail')).length === 2);
    expect([await ids('bill'), await ids('mail')]).toEqual([
      [1, 2],
      [1, 2],
    ]);
    expect([failed.get(1), failed.get(2)]).toEqual([1, 3]);
  });

  it('gives a message up after so many failures, and keeps nothing of it', async () => {
    await start(new InMemoryBroker());
    await publish({ order: 1, poison: true }, { order: 2 });
    await until(async () => (await ids('mail')).length === 1 && failed.get(1) === 3);
    await until(async () => {
      const left = await database.dataSource.query<unknown[]>(
        'SELECT 1 FROM saga_outbox UNION ALL SELECT 1 FROM saga_outbox_retry',
      );
      return left.length === 0;
    });
    expect([await ids('bill'), failed.get(1)]).toEqual([[2], 3]);
  });

  it('is refused for a handler without a name, or a number of deliveries that is none', () => {
    expect(() => IdempotentConsumer('')).toThrow('the name of the consumer');
    expect(() => IdempotentConsumer('a', { maxDeliveries: 0 })).toThrow(
      'maxDeliveries: expected a whole number',
    );
  });
});

describeWith('rabbitmq', 'an @IdempotentConsumer on the RabbitMQ transport of Nest', () => {
  const url = process.env['RABBITMQ_URL'] ?? '';
  let database: ApplicationDatabase;
  let app: INestApplication | undefined;
  let names: { readonly exchange: string; readonly queue: string; readonly dead: string };

  beforeEach(async () => {
    failed.clear();
    database = await applicationDatabase();
    await database.dataSource.query('CREATE TABLE bill (id int); CREATE TABLE mail (id int)');
    const id = uuidV7();
    names = { exchange: `events-${id}`, queue: `billing-${id}`, dead: `dead-${id}` };
    const connection = await connect(url);
    const channel = await connection.createChannel();
    await channel.assertQueue(names.dead);
    await connection.close();
  });
  afterEach(async () => {
    await app?.close();
    app = undefined;
    await database.close();
    const connection = await connect(url);
    const channel = await connection.createChannel();
    await channel.deleteQueue(names.queue);
    await channel.deleteQueue(names.dead);
    await channel.deleteExchange(names.exchange);
    await connection.close();
  });

  const transport = (noAck: boolean): MicroserviceOptions => ({
    transport: Transport.RMQ,
    options: {
      ...{
        urls: [url],
        queue: names.queue,
        exchange: names.exchange,
        exchangeType: 'topic',
        wildcards: true,
        noAck,
      },
      queueOptions: {
        ...{ durable: true, deadLetterExchange: '', deadLetterRoutingKey: names.dead },
      },
      prefetchCount: 20,
    },
  });
  const start = async (...controllers: Type[]) => {
    app = await startApplication({
      ...{ url: database.url, controllers, microservices: [transport(false)] },
      sagaz: { broker: new RabbitMqBroker({ url, exchange: names.exchange }) },
    });
    return app;
  };
  const rows = async (table: string) =>
    (await database.dataSource.query<{ id: number }[]>(`SELECT id FROM ${table} ORDER BY id`)).map(
      ({ id }) => id,
    );
  const publish = (...orders: readonly Paid[]) =>
    app!
      .get(Outbox)
      .transaction(() =>
        app!.get(Outbox).publish(orders.map((payload) => ({ type: 'order.paid', payload }))),
      );

  it('acknowledges after the commit, repeats what failed, and leaves poison to the dead-letter exchange', async () => {
    await start(Billing, Mail);
    await publish({ order: 1 }, { order: 2, failures: 2 }, { order: 3, poison: true });
    const connection = await connect(url);
    const channel = await connection.createChannel();
    const counts = async () => [
      (await channel.checkQueue(names.queue)).messageCount,
      (await channel.checkQueue(names.dead)).messageCount,
    ];
    await until(async () => (await counts())[1] === 1 && (await rows('mail')).length === 2, 20_000);
    expect([await rows('bill'), await rows('mail'), await counts()]).toEqual([
      [1, 2],
      [1, 2],
      [0, 1],
    ]);
    expect([failed.get(1), failed.get(2), failed.get(3)]).toEqual([1, 3, 3]);
    await connection.close();
  }, 40_000);

  it('settles a message that two consumers of one application get once, when both are done with it', async () => {
    await start(Billing, Audit);
    const orders = Array.from({ length: 20 }, (_, order) => ({
      order,
      poison: order === 7,
      failures: order % 3,
    }));
    await publish(...orders);
    const connection = await connect(url);
    const channel = await connection.createChannel();
    const dead = async () => (await channel.checkQueue(names.dead)).messageCount;
    await until(async () => (await rows('bill')).length === 19 && (await dead()) >= 1, 20_000);
    const all = orders.map(({ order }) => order);
    expect([await rows('bill'), await rows('mail')]).toEqual([all.filter((order) => order !== 7), all]);
    expect([await dead(), (await channel.checkQueue(names.queue)).messageCount]).toEqual([1, 0]);
    await connection.close();
  }, 40_000);

  it('(pitfall 34) a shutdown loses nothing: what its handler wrote counts, and the message that comes again does not', async () => {
    gate = new Deferred();
    const first = await start(Billing, Mail);
    await publish({ order: 34 });
    await until(() => failed.get(34) === 1);
    const closing = first.close();
    const connection = await connect(url);
    const channel = await connection.createChannel();
    const waiting = async () => (await channel.checkQueue(names.queue)).messageCount;
    // The channel is closed, the handler is not done.
    await until(async () => (await waiting()) >= 1, 20_000);
    expect(await rows('bill')).toEqual([]);
    gate.resolve();
    await closing;
    expect(await rows('bill')).toEqual([34]);
    await start(Billing, Mail);
    await until(async () => (await rows('mail')).length === 1 && (await waiting()) === 0, 20_000);
    expect([await rows('bill'), failed.get(34)]).toEqual([[34], 1]);
    await connection.close();
  }, 40_000);

  it('(pitfall 28) is refused at boot on a transport that takes messages for done before they are', async () => {
    const testing = await Test.createTestingModule({
      imports: [SagazModule.forRoot({ storage: 'memory' })],
      controllers: [Billing],
    }).compile();
    const refused = testing.createNestApplication({ logger: false });
    refused.connectMicroservice(transport(true));
    await expect(refused.init()).rejects.toThrow(/"billing"\) could lose some: set noAck: false/);
  });
});

describeWith('kafka', 'an @IdempotentConsumer on the Kafka transport of Nest', () => {
  let database: ApplicationDatabase;
  let listener: KafkaListener;
  let app: INestApplication | undefined;

  beforeEach(async () => {
    failed.clear();
    database = await applicationDatabase();
    await database.dataSource.query('CREATE TABLE bill (id int); CREATE TABLE mail (id int)');
    listener = await KafkaListener.on(kafkaBrokers(), '');
    await listener.create('order.paid');
    await listener.create('bill.made');
  });
  afterEach(async () => {
    await app?.close();
    app = undefined;
    await listener.close();
    await database.close();
  });

  it('repeats what failed, and leaves poison to the dead-letter topic', async () => {
    const dead = await listener.records('order.paid.dead-letter');
    const transport: MicroserviceOptions = {
      transport: Transport.KAFKA,
      options: {
        client: { brokers: kafkaBrokers(), logLevel: logLevel.NOTHING },
        ...{ consumer: { groupId: `billing-${uuidV7()}` }, subscribe: { fromBeginning: true } },
      },
    };
    app = await startApplication({
      ...{ url: database.url, controllers: [Billing, Mail], microservices: [transport] },
      sagaz: { broker: new KafkaBroker({ brokers: kafkaBrokers() }) },
    });
    const outbox = app.get(Outbox);
    const orders: readonly Paid[] = [{ order: 1 }, { order: 2, failures: 2 }, { order: 3, poison: true }];
    await outbox.transaction(() =>
      outbox.publish(orders.map((payload) => ({ type: 'order.paid', key: 'k', payload }))),
    );
    const mailed = () => database.dataSource.query<{ id: number }[]>('SELECT id FROM mail ORDER BY id');
    await until(async () => dead.length === 1 && (await mailed()).length === 2, 40_000);
    const billed = await database.dataSource.query<{ id: number }[]>('SELECT id FROM bill ORDER BY id');
    expect([billed, await mailed()]).toEqual([
      [{ id: 1 }, { id: 2 }],
      [{ id: 1 }, { id: 2 }],
    ]);
    expect([failed.get(1), failed.get(2), failed.get(3)]).toEqual([1, 3, 3]);
    expect(JSON.parse(dead[0]?.value ?? 'null')).toEqual(orders[2]);
    expect(dead[0]?.headers).toMatchObject({ error: 'no paper', type: 'order.paid' });
  }, 90_000);
});

describeWith('redis', 'an @IdempotentConsumer on RedisStreamsTransport', () => {
  const url = process.env['REDIS_URL'] ?? '';
  let database: ApplicationDatabase;
  let app: INestApplication | undefined;

  beforeEach(async () => {
    failed.clear();
    database = await applicationDatabase();
    await database.dataSource.query('CREATE TABLE bill (id int); CREATE TABLE mail (id int)');
  });
  afterEach(async () => {
    await app?.close();
    app = undefined;
    await database.close();
  });

  it('acknowledges after the commit, repeats what failed, and leaves poison to the dead-letter stream', async () => {
    const streamPrefix = `${uuidV7()}:`;
    const streams = new RedisListener(url, streamPrefix);
    const strategy = new RedisStreamsTransport({ url, streamPrefix, group: 'billing' });
    app = await startApplication({
      ...{ url: database.url, controllers: [Billing, Mail], microservices: [{ strategy }] },
      sagaz: { broker: new RedisStreamsBroker({ url, streamPrefix }) },
    });
    const outbox = app.get(Outbox);
    const orders: readonly Paid[] = [{ order: 1 }, { order: 2, failures: 2 }, { order: 3, poison: true }];
    await outbox.transaction(() =>
      outbox.publish(orders.map((payload) => ({ type: 'order.paid', key: 'k', payload }))),
    );
    const rows = (table: string) =>
      database.dataSource.query<{ id: number }[]>(`SELECT id FROM ${table} ORDER BY id`);
    const dead = () => streams.entries('order.paid.dead-letter');
    await until(async () => (await dead()).length === 1 && (await rows('mail')).length === 2);
    expect([await rows('bill'), await rows('mail')]).toEqual([
      [{ id: 1 }, { id: 2 }],
      [{ id: 1 }, { id: 2 }],
    ]);
    expect([failed.get(1), failed.get(2), failed.get(3)]).toEqual([1, 3, 3]);
    expect(await dead()).toMatchObject([{ data: JSON.stringify(orders[2]), error: 'no paper' }]);
    await until(
      async () =>
        ((await streams.client.xpending(`${streamPrefix}order.paid`, 'billing')) as [number])[0] === 0,
    );
    await streams.client.del(...(await streams.client.keys(`${streamPrefix}*`)));
    await streams.close();
  }, 40_000);

  it('(pitfall 34) a shutdown waits for the handler and acknowledges its message', async () => {
    gate = new Deferred();
    const streamPrefix = `${uuidV7()}:`;
    const streams = new RedisListener(url, streamPrefix);
    const transport = () => ({
      ...{ strategy: new RedisStreamsTransport({ url, streamPrefix, group: 'billing', claimAfter: '1h' }) },
    });
    const options = () => ({
      ...{ url: database.url, controllers: [Billing], microservices: [transport()] },
      sagaz: { broker: new RedisStreamsBroker({ url, streamPrefix }) },
    });
    const first = (app = await startApplication(options()));
    await first
      .get(Outbox)
      .transaction(() => first.get(Outbox).publish({ type: 'order.paid', payload: { order: 34 } }));
    await until(() => failed.get(34) === 1);
    let closed = false;
    const closing = first.close().then(() => (closed = true));
    const consumers = () => streams.client.xinfo('CONSUMERS', `${streamPrefix}order.paid`, 'billing');
    // It reads no more once it is told to stop; a read takes half a second.
    const idle = async () => Number(((await consumers()) as unknown[][])[0]?.at(-1));
    await until(async () => (await idle()) > 1_000);
    expect(closed).toBe(false);
    gate.resolve();
    await closing;
    const bills = () => database.dataSource.query('SELECT id FROM bill');
    expect([await bills(), await consumers()]).toEqual([[{ id: 34 }], []]);
    await streams.client.del(...(await streams.client.keys(`${streamPrefix}*`)));
    await streams.close();
  }, 40_000);
});
