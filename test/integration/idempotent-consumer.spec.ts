import 'reflect-metadata';
import {
  Controller,
  Inject,
  UseFilters,
  UseGuards,
  type CanActivate,
  type ExecutionContext,
  type INestApplication,
  type RpcExceptionFilter,
  type Type,
} from '@nestjs/common';
import { EventPattern, Payload, Transport, type MicroserviceOptions } from '@nestjs/microservices';
import { connect } from 'amqplib';
import { logLevel } from 'kafkajs';
import type { PublishItem, PublishOutcomes } from '../../lib/events/publish.js';
import { uuidV7 } from '../../lib/events/uuid-v7.js';
import { Deferred } from '../../lib/runtime/deferred.js';
import {
  ConsumerInbox,
  IdempotentConsumer,
  InMemoryBroker,
  MessageBroker,
  Outbox,
  SagazModule,
  SagazTelemetry,
} from '../../lib/index.js';
import { KafkaBroker } from '../../lib/kafka.js';
import { RedisStreamsTransport } from '../../lib/microservices.js';
import { RabbitMqBroker } from '../../lib/rabbitmq.js';
import { RedisStreamsBroker } from '../../lib/redis.js';
import { Test } from '@nestjs/testing';
import { EMPTY, type Observable } from 'rxjs';
import { itemOf } from '../support/brokers/broker-item.js';
import { kafkaBrokers, KafkaListener } from '../support/brokers/kafka.js';
import { RedisListener } from '../support/brokers/redis.js';
import { safeQueue } from '../support/brokers/safe-queue.js';
import { describeWith } from '../support/requirement.js';
import { startApplication, type TestApplicationOptions } from '../support/test-application.js';
import { applicationDatabase, type ApplicationDatabase } from '../support/test-data-source.js';
import { until } from '../support/until.js';

interface Paid {
  readonly order: number;
  readonly poison?: boolean;
  /** How often its handler fails. */
  readonly failures?: number;
}

const failed = new Map<number, number>();
/** When the handlers were called. */
let calls: number[] = [];
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
    calls.push(performance.now());
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

/** Lets nothing pass before the first consumer has run. */
class AfterBilling implements CanActivate {
  async canActivate(context: ExecutionContext): Promise<boolean> {
    const { order } = context.switchToRpc().getData<Paid>();
    await until(() => failed.has(order));
    return true;
  }
}

/** A second consumer in the application of the first. */
@Controller()
class Audit {
  constructor(@Inject(ConsumerInbox) private readonly inbox: ConsumerInbox) {}

  @EventPattern<string>('order.paid')
  @UseGuards(AfterBilling)
  @IdempotentConsumer('audit')
  async note(@Payload() { order }: Paid) {
    await this.inbox.manager?.query('INSERT INTO mail VALUES ($1)', [order]);
  }
}

/** Gives an event up at once. */
@Controller()
class Hasty {
  @EventPattern<string>('order.paid')
  @IdempotentConsumer('hasty', { maxDeliveries: 1 })
  take(@Payload() { order }: Paid): void {
    failed.set(order, (failed.get(order) ?? 0) + 1);
    throw new Error('never');
  }
}

/** Makes nothing of any error. */
class Deaf implements RpcExceptionFilter {
  catch(): Observable<never> {
    return EMPTY;
  }
}

/** Fails once, and nobody hears of it. */
@Controller()
@UseFilters(Deaf)
class Muffled {
  @EventPattern<string>('order.paid')
  @IdempotentConsumer('muffled')
  take(@Payload() { order }: Paid): void {
    failed.set(order, (failed.get(order) ?? 0) + 1);
    if (failed.get(order) === 1) throw new Error('no paper');
  }
}

/** Fails at once, and nobody hears of it. */
@Controller()
@UseFilters(Deaf)
class Broken {
  @EventPattern<string>('order.paid')
  take(): void {
    throw new Error('out of order');
  }
}

/** Lets the others go first. */
class Later implements CanActivate {
  async canActivate(): Promise<boolean> {
    await new Promise((resolve) => setTimeout(resolve, 20));
    return true;
  }
}

/** Fails later than the other, the first time. */
@Controller()
class Slow {
  @EventPattern<string>('order.paid')
  @UseGuards(Later)
  @IdempotentConsumer('slow')
  async take(@Payload() { order }: Paid) {
    failed.set(order, (failed.get(order) ?? 0) + 1);
    if (failed.get(order) === 1) await gate.promise;
    if (failed.get(order) === 1) throw new Error('no paper');
  }
}

/** May not fail once. */
@Controller()
class Strict {
  constructor(@Inject(ConsumerInbox) private readonly inbox: ConsumerInbox) {}

  @EventPattern<string>('order.paid')
  @IdempotentConsumer('strict', { maxDeliveries: 1 })
  async take(@Payload() { order }: Paid) {
    failed.set(order, (failed.get(order) ?? 0) + 1);
    await this.inbox.manager?.query('INSERT INTO bill VALUES ($1)', [order]);
  }
}

/** Brings every event as often as it is told. */
class RepeatingBroker extends InMemoryBroker {
  times = 3;

  override async publish(batch: readonly PublishItem[], signal: AbortSignal): Promise<PublishOutcomes> {
    for (let n = 1; n < this.times; n++) await super.publish(batch, signal);
    return super.publish(batch, signal);
  }
}

/** The consumers' database and application, for the tests of the suite in which it is made. */
class Shop {
  private database: ApplicationDatabase | undefined;
  private app: INestApplication | undefined;

  constructor() {
    beforeEach(async () => {
      failed.clear();
      calls = [];
      this.database = await applicationDatabase();
      await this.query('CREATE TABLE bill (id int); CREATE TABLE mail (id int)');
    });
    afterEach(async () => {
      await this.app?.close();
      this.app = undefined;
      await this.database?.close();
    });
  }

  async start(options: TestApplicationOptions): Promise<INestApplication> {
    const url = this.database?.url ?? '';
    return (this.app = await startApplication({ url, controllers: [Billing, Mail], ...options }));
  }

  async publish(...orders: readonly Paid[]): Promise<void> {
    const outbox = this.app!.get(Outbox);
    await outbox.transaction(() =>
      outbox.publish(orders.map((payload) => ({ type: 'order.paid', payload }))),
    );
  }

  /** The orders in a table. */
  async orders(table: 'bill' | 'mail'): Promise<number[]> {
    return (await this.query<{ id: number }>(`SELECT id FROM ${table} ORDER BY id`)).map(({ id }) => id);
  }

  query<T>(text: string): Promise<T[]> {
    return this.database!.dataSource.query<T[]>(text);
  }
}

/** One that is taken at once, one at the third time, one never. */
const THREE: readonly Paid[] = [{ order: 1 }, { order: 2, failures: 2 }, { order: 3, poison: true }];

async function expectTwoOfThree(shop: Shop): Promise<void> {
  expect([await shop.orders('bill'), await shop.orders('mail')]).toEqual([
    [1, 2],
    [1, 2],
  ]);
  expect([failed.get(1), failed.get(2), failed.get(3)]).toEqual([1, 3, 3]);
}

/** Of `Muffled`: called twice, and noted. */
async function expectTheSecondTime(shop: Shop): Promise<void> {
  await shop.publish({ order: 1 });
  await until(() => failed.get(1) === 2);
  const noted = () => shop.query(`SELECT 1 FROM consumer_inbox WHERE consumer = 'muffled'`);
  await until(async () => (await noted()).length === 1);
}

describeWith('postgres', 'an @IdempotentConsumer', () => {
  const shop = new Shop();
  const outbox = { retry: { initialInterval: 5, maxInterval: 20 } };

  it('takes each message once, however often it comes, in one transaction with what it writes', async () => {
    await shop.start({ sagaz: { broker: new RepeatingBroker(), outbox } });
    await shop.publish({ order: 1 }, { order: 2, failures: 2 });
    await until(async () => (await shop.orders('mail')).length === 2);
    expect([await shop.orders('bill'), await shop.orders('mail')]).toEqual([
      [1, 2],
      [1, 2],
    ]);
    expect([failed.get(1), failed.get(2)]).toEqual([1, 3]);
  });

  it('gives a message up after so many failures, and keeps nothing of it', async () => {
    await shop.start({ sagaz: { broker: new InMemoryBroker(), outbox } });
    await shop.publish({ order: 1, poison: true }, { order: 2 });
    await until(async () => (await shop.orders('mail')).length === 1 && failed.get(1) === 3);
    await until(async () => {
      const left = await shop.query('SELECT 1 FROM saga_outbox UNION ALL SELECT 1 FROM saga_outbox_retry');
      return left.length === 0;
    });
    expect([await shop.orders('bill'), failed.get(1)]).toEqual([[2], 3]);
  });

  it('comes again when its handler failed, also when an exception filter makes nothing of the error', async () => {
    await shop.start({ controllers: [Muffled], sagaz: { broker: new InMemoryBroker(), outbox } });
    await expectTheSecondTime(shop);
  });

  it('comes again when its handler failed, also when another handler of the event was done before it', async () => {
    gate = new Deferred();
    await shop.start({ controllers: [Broken, Slow], sagaz: { broker: new InMemoryBroker(), outbox } });
    await shop.publish({ order: 1 });
    await until(() => failed.get(1) === 1);
    // What was to be said for the event by others has been said.
    setTimeout(() => gate.resolve(), 100);
    await until(() => failed.get(1) === 2);
  });

  it('does not give up a message of which nobody knows whether it was committed', async () => {
    await shop.start({ controllers: [Strict], sagaz: { broker: new InMemoryBroker(), outbox } });
    await shop.query(`
      CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END';
      CREATE CONSTRAINT TRIGGER die AFTER INSERT ON bill DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die()`);
    await shop.publish({ order: 1 });
    await until(() => (failed.get(1) ?? 0) > 2);
    await shop.query('DROP TRIGGER die ON bill');
    await until(async () => (await shop.orders('bill')).length === 1);
  });

  it('takes a time that PostgreSQL does not know for long ago', async () => {
    const app = await shop.start({ sagaz: { broker: new InMemoryBroker() } });
    const message = { id: 'old', stamp: new Date(-8e15) };
    const result = await app.get(ConsumerInbox).process(message, 'billing', () => Promise.resolve());
    expect(result).toEqual({ status: 'expired' });
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
  const shop = new Shop();
  let names: { readonly exchange: string; readonly queue: string; readonly dead: string };

  beforeEach(async () => {
    const id = uuidV7();
    names = { exchange: `events-${id}`, queue: `billing-${id}`, dead: `dead-${id}` };
    const connection = await connect(url);
    const channel = await connection.createChannel();
    await channel.assertQueue(names.dead);
    await connection.close();
  });
  afterEach(async () => {
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
      queueOptions: safeQueue(names.dead),
      prefetchCount: 20,
    },
  });
  const start = (...controllers: Type[]) =>
    shop.start({
      ...{ controllers, microservices: [transport(false)] },
      sagaz: { broker: new RabbitMqBroker({ url, exchange: names.exchange }) },
    });

  it('acknowledges after the commit, repeats what failed, and leaves poison to the dead-letter exchange', async () => {
    await start(Billing, Mail);
    await shop.publish(...THREE);
    const connection = await connect(url);
    const channel = await connection.createChannel();
    const counts = async () => [
      (await channel.checkQueue(names.queue)).messageCount,
      (await channel.checkQueue(names.dead)).messageCount,
    ];
    await until(async () => (await counts())[1] === 1 && (await shop.orders('mail')).length === 2, 20_000);
    expect(await counts()).toEqual([0, 1]);
    await expectTwoOfThree(shop);
    await connection.close();
  }, 40_000);

  it('waits longer before each redelivery, so that an outage does not use up what the queue allows', async () => {
    await start(Billing);
    await shop.publish({ order: 1, failures: 2 });
    await until(async () => (await shop.orders('bill')).length === 1);
    const [first = 0, second = 0, third = 0] = calls;
    expect(second - first).toBeGreaterThanOrEqual(199);
    expect(third - second).toBeGreaterThanOrEqual(399);
  }, 40_000);

  it('settles a message that two consumers of one application get once, when both are done with it', async () => {
    await start(Billing, Audit);
    const orders = Array.from({ length: 20 }, (_, order) => ({
      order,
      poison: order === 7,
      failures: order % 3,
    }));
    await shop.publish(...orders);
    const connection = await connect(url);
    const channel = await connection.createChannel();
    const dead = async () => (await channel.checkQueue(names.dead)).messageCount;
    await until(async () => (await shop.orders('bill')).length === 19 && (await dead()) >= 1, 20_000);
    const all = orders.map(({ order }) => order);
    expect([await shop.orders('bill'), await shop.orders('mail')]).toEqual([
      all.filter((order) => order !== 7),
      all,
    ]);
    expect([await dead(), (await channel.checkQueue(names.queue)).messageCount]).toEqual([1, 0]);
    await connection.close();
  }, 40_000);

  it('(pitfall 34) a shutdown loses nothing: what its handler wrote counts, and the message that comes again does not', async () => {
    gate = new Deferred();
    const first = await start(Billing, Mail);
    await shop.publish({ order: 34 });
    await until(() => failed.get(34) === 1);
    const closing = first.close();
    const connection = await connect(url);
    const channel = await connection.createChannel();
    const waiting = async () => (await channel.checkQueue(names.queue)).messageCount;
    // The channel is closed, the handler is not done.
    await until(async () => (await waiting()) >= 1, 20_000);
    expect(await shop.orders('bill')).toEqual([]);
    gate.resolve();
    await closing;
    expect(await shop.orders('bill')).toEqual([34]);
    await start(Billing, Mail);
    await until(async () => (await shop.orders('mail')).length === 1 && (await waiting()) === 0, 20_000);
    expect([await shop.orders('bill'), failed.get(34)]).toEqual([[34], 1]);
    await connection.close();
  }, 40_000);

  it('(pitfall 28) is refused at boot on a transport that takes messages for done before they are, and takes none', async () => {
    const testing = await Test.createTestingModule({
      imports: [SagazModule.forRoot({ storage: 'memory' })],
      controllers: [Billing],
    }).compile();
    const refused = testing.createNestApplication({ logger: false });
    refused.connectMicroservice(transport(true));
    const connection = await connect(url);
    const channel = await connection.createChannel();
    await channel.assertQueue(names.queue, safeQueue(names.dead));
    channel.sendToQueue(names.queue, Buffer.from('{"pattern":"order.paid","data":{"order":1}}'));
    const reason = /"billing"\) could lose some: set noAck: false/;
    await expect(refused.startAllMicroservices()).rejects.toThrow(reason);
    await expect(refused.init()).rejects.toThrow(reason);
    await until(async () => (await channel.checkQueue(names.queue)).messageCount === 1);
    expect(failed.size).toBe(0);
    await connection.close();
  });

  it('gives up at once a message that has no id', async () => {
    await start(Billing);
    const connection = await connect(url);
    const channel = await connection.createChannel();
    for (const messageId of [undefined, ''])
      channel.sendToQueue(names.queue, Buffer.from('{"pattern":"order.paid","data":{"order":1}}'), {
        ...(messageId !== undefined && { messageId }),
      });
    await until(async () => (await channel.checkQueue(names.dead)).messageCount === 2);
    expect(failed.size).toBe(0);
    await connection.close();
  });

  it('is refused at boot where it depends on the message how many consumers get it', async () => {
    @Controller()
    class Wide {
      @EventPattern<string[]>(['order.paid', 'order.sent'])
      @IdempotentConsumer('wide')
      take(): void {
        return;
      }
    }
    await expect(start(Billing, Wide)).rejects.toThrow(/"billing"\) and \("wide"\) share some patterns/);
  });
});

describeWith('kafka', 'an @IdempotentConsumer on the Kafka transport of Nest', () => {
  let listener: KafkaListener;
  beforeAll(async () => {
    listener = await KafkaListener.on(kafkaBrokers(), '');
    await listener.create('order.paid');
    await listener.create('bill.made');
  });
  afterAll(() => listener.close());
  const shop = new Shop();

  it('repeats what failed, and leaves poison to the dead-letter topic', async () => {
    const dead = await listener.records('order.paid.dead-letter');
    const transport: MicroserviceOptions = {
      transport: Transport.KAFKA,
      options: {
        client: { brokers: kafkaBrokers(), logLevel: logLevel.NOTHING },
        ...{ consumer: { groupId: `billing-${uuidV7()}` }, subscribe: { fromBeginning: true } },
      },
    };
    await shop.start({
      ...{ microservices: [transport], sagaz: { broker: new KafkaBroker({ brokers: kafkaBrokers() }) } },
    });
    await shop.publish(...THREE);
    await until(async () => dead.length === 1 && (await shop.orders('mail')).length === 2, 40_000);
    await expectTwoOfThree(shop);
    expect(JSON.parse(dead[0]?.value ?? 'null')).toEqual(THREE[2]);
    expect(dead[0]?.headers).toMatchObject({ error: 'no paper', type: 'order.paid' });
  }, 90_000);
});

describeWith('redis', 'an @IdempotentConsumer on RedisStreamsTransport', () => {
  const url = process.env['REDIS_URL'] ?? '';
  const shop = new Shop();
  let streams: RedisListener;
  let streamPrefix: string;
  beforeEach(() => {
    streamPrefix = `${uuidV7()}:`;
    streams = new RedisListener(url, streamPrefix);
  });
  afterEach(async () => {
    await streams.client.del(...(await streams.client.keys(`${streamPrefix}*`)));
    await streams.close();
  });
  const start = (options: TestApplicationOptions = {}) => {
    const strategy = new RedisStreamsTransport({ url, streamPrefix, group: 'billing', claimAfter: '1h' });
    const broker = new RedisStreamsBroker({ url, streamPrefix });
    return shop.start({ microservices: [{ strategy }], sagaz: { broker }, ...options });
  };

  it('acknowledges after the commit, repeats what failed, and leaves poison to the dead-letter stream', async () => {
    await start();
    await shop.publish(...THREE);
    const dead = () => streams.entries('order.paid.dead-letter');
    await until(async () => (await dead()).length === 1 && (await shop.orders('mail')).length === 2);
    await expectTwoOfThree(shop);
    expect(await dead()).toMatchObject([{ data: JSON.stringify(THREE[2]), error: 'no paper' }]);
    const owed = async () => (await streams.client.xpending(`${streamPrefix}order.paid`, 'billing'))[0];
    await until(async () => (await owed()) === 0);
  }, 40_000);

  it('(pitfall 34) a shutdown waits for the handler and acknowledges its message', async () => {
    gate = new Deferred();
    const first = await start();
    await shop.publish({ order: 34 });
    await until(() => failed.get(34) === 1);
    let closed = false;
    const closing = first.close().then(() => (closed = true));
    const consumers = () => streams.client.xinfo('CONSUMERS', `${streamPrefix}order.paid`, 'billing');
    // It reads no more once it is told to stop; a read takes half a second.
    const idle = async () => {
      const [fields = []] = (await consumers()) as unknown[][];
      return Number(fields[fields.indexOf('idle') + 1]);
    };
    await until(async () => (await idle()) > 1_000);
    expect(closed).toBe(false);
    gate.resolve();
    await closing;
    expect([await shop.orders('bill'), await consumers()]).toEqual([[34], []]);
  }, 40_000);

  it('comes again when its handler failed, also when an exception filter makes nothing of the error', async () => {
    await start({ controllers: [Muffled] });
    await expectTheSecondTime(shop);
  }, 40_000);

  it('does not give up a message whose handler never began, because no connection was to be had', async () => {
    gate = new Deferred();
    const refused = new Map<string, number>();
    const count = ({ messageId }: { messageId: string }) =>
      void refused.set(messageId, (refused.get(messageId) ?? 0) + 1);
    const unsubscribe = SagazTelemetry.subscribe('inbox.failed', count);
    const app = await start({ pool: { max: 1, connectionTimeoutMillis: 50 } });
    await shop.publish({ order: 34 });
    await until(() => failed.get(34) === 1);
    const item = itemOf({ type: 'order.paid', payload: { order: 1 } });
    await app.get(MessageBroker).publish([item], new AbortController().signal);
    // More often than it may fail.
    await until(() => (refused.get(item.eventId) ?? 0) > 3);
    unsubscribe();
    gate.resolve();
    await until(async () => (await shop.orders('bill')).length === 2);
    expect([await shop.orders('bill'), await streams.entries('order.paid.dead-letter')]).toEqual([
      [1, 34],
      [],
    ]);
  }, 40_000);

  it('takes nothing from a consumer that still fails when another one gives the event up', async () => {
    await start({ controllers: [Hasty, Audit] });
    await shop.query('ALTER TABLE mail RENAME TO mail_away');
    await shop.publish({ order: 5 });
    await until(() => (failed.get(5) ?? 0) >= 3);
    expect(await streams.entries('order.paid.dead-letter')).toEqual([]);
    await shop.query('ALTER TABLE mail_away RENAME TO mail');
    await until(async () => (await streams.entries('order.paid.dead-letter')).length === 1);
    expect(await shop.orders('mail')).toEqual([5]);
  }, 40_000);
});
