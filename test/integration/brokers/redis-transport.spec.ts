import 'reflect-metadata';
import { Controller, type INestApplication } from '@nestjs/common';
import { Ctx, EventPattern, Payload } from '@nestjs/microservices';
import { Redis } from 'ioredis';
import { Deferred } from '../../../lib/runtime/deferred.js';
import {
  RedisStreamsContext,
  RedisStreamsTransport,
  type RedisStreamsTransportOptions,
} from '../../../lib/microservices.js';
import { RedisStreamsBroker } from '../../../lib/redis.js';
import { itemOf, itemsOf, patient } from '../../support/brokers/broker-item.js';
import { RedisListener } from '../../support/brokers/redis.js';
import { describeWith } from '../../support/requirement.js';
import { RedisServer } from '../../support/services/redis-server.js';
import { TcpProxy } from '../../support/tcp-proxy.js';
import { startApplication } from '../../support/test-application.js';
import { until } from '../../support/until.js';

interface Seen {
  readonly n: number;
  readonly key: string;
  readonly eventId: string;
}

type Handler = (payload: { n: number }, context: RedisStreamsContext) => unknown;

/** A consumer whose handler the test decides. */
function listenerOf(type: string, handle: Handler) {
  const seen: Seen[] = [];

  @Controller()
  class Listener {
    @EventPattern<string>(type)
    async take(@Payload() payload: { n: number }, @Ctx() context: RedisStreamsContext) {
      seen.push({ n: payload.n, key: context.key, eventId: context.eventId });
      await handle(payload, context);
    }
  }
  return { Listener, seen };
}

const numbers = (seen: readonly Seen[]) => seen.map(({ n }) => n);

describeWith('redis-server', 'RedisStreamsTransport', () => {
  let server: RedisServer;
  let admin: RedisListener;
  let broker: RedisStreamsBroker;
  const running: INestApplication[] = [];

  beforeEach(async () => {
    server = await RedisServer.start();
    admin = new RedisListener(server.url, '');
    broker = new RedisStreamsBroker({ url: server.url });
  });
  afterEach(async () => {
    await Promise.all(running.splice(0).map((app) => app.close()));
    await broker.close();
    admin.client.disconnect();
    await server.remove();
  });

  const start = async (
    controller: ReturnType<typeof listenerOf>['Listener'],
    options: Partial<RedisStreamsTransportOptions> = {},
  ) => {
    const where = options.client ? {} : { url: server.url };
    const strategy = new RedisStreamsTransport({ ...where, group: 'billing', ...options });
    const app = await startApplication({ controllers: [controller], microservices: [{ strategy }] });
    running.push(app);
    return app;
  };
  const stop = async (app: INestApplication) => {
    running.splice(running.indexOf(app), 1);
    await app.close();
  };
  /** Since the first consumer of the group was last heard of. */
  const idleMs = async (type: string) => {
    const [fields = []] = (await admin.client.xinfo('CONSUMERS', type, 'billing')) as unknown[][];
    return Number(fields[fields.indexOf('idle') + 1]);
  };
  const owed = async (type: string) => ((await admin.client.xpending(type, 'billing')) as [number])[0];

  it('brings every event to each group once, and forgets consumers that have left', async () => {
    const billing = listenerOf('paid', () => undefined);
    const mail = listenerOf('paid', () => undefined);
    await broker.publish(itemsOf('paid', 200, 7), patient());
    const apps = [await start(billing.Listener), await start(billing.Listener)];
    const other = await start(mail.Listener, { group: 'mail' });
    await until(() => billing.seen.length === 200 && mail.seen.length === 200);
    await until(async () => (await owed('paid')) === 0);
    expect(new Set(numbers(billing.seen)).size).toBe(200);
    for (const app of [...apps, other]) await stop(app);
    expect(await admin.client.xinfo('CONSUMERS', 'paid', 'billing')).toEqual([]);
  });

  it('repeats an event whose handler fails, and keeps the order of its key; other keys go on', async () => {
    let failures = 2;
    const { Listener, seen } = listenerOf('paid', ({ n }) => {
      if (n === 2 && failures-- > 0) throw new Error('no paper');
    });
    await start(Listener);
    await broker.publish(itemsOf('paid', 6, 2), patient());
    await until(async () => seen.length === 8 && (await owed('paid')) === 0);
    expect(numbers(seen.filter(({ key }) => key === 'key-0'))).toEqual([0, 2, 2, 2, 4]);
    expect(numbers(seen.slice(0, 4)).toSorted()).toEqual([0, 1, 2, 3]);
    expect(new Set(seen.filter(({ n }) => n === 2).map(({ eventId }) => eventId)).size).toBe(1);
  });

  it('takes over what a consumer that died had in hand', async () => {
    await broker.publish(itemsOf('paid', 3), patient());
    await admin.client.xgroup('CREATE', 'paid', 'billing', '0');
    await admin.client.xreadgroup('GROUP', 'billing', 'dead', 'COUNT', 2, 'STREAMS', 'paid', '>');
    const { Listener, seen } = listenerOf('paid', () => undefined);
    await start(Listener, { claimAfter: 200 });
    await until(async () => seen.length === 3 && (await owed('paid')) === 0);
    expect(numbers(seen).toSorted()).toEqual([0, 1, 2]);
  });

  it('does not take over what another consumer is still working on', async () => {
    const release = new Deferred<void>();
    const slow = listenerOf('paid', () => release.promise);
    await start(slow.Listener, { claimAfter: 300 });
    await broker.publish([itemOf({ type: 'paid' })], patient());
    await until(() => slow.seen.length === 1);
    const idle = listenerOf('paid', () => undefined);
    await start(idle.Listener, { claimAfter: 300 });
    // It has looked for what it may claim again and again when its own event came after so long.
    const begin = Date.now();
    await until(async () => {
      await admin.client.xadd('paid', '*', 'data', '{"n":9}');
      return Date.now() - begin > 1_500;
    });
    await until(() => numbers(idle.seen).includes(9));
    expect(numbers(idle.seen)).not.toContain(1);
    release.resolve();
    await until(async () => (await owed('paid')) === 0);
    expect(numbers(slow.seen).filter((n) => n === 1)).toEqual([1]);
  });

  it('waits for its handlers when it is closed, and gives back what it has not done', async () => {
    const release = new Deferred<void>();
    const first = listenerOf('paid', () => release.promise);
    const app = await start(first.Listener, { claimAfter: '1h' });
    await broker.publish(itemsOf('paid', 3), patient());
    await until(async () => first.seen.length === 1 && (await owed('paid')) === 3);
    let closed = false;
    const closing = stop(app).then(() => (closed = true));
    // It reads no more once it is told to stop; a read takes half a second.
    await until(async () => (await idleMs('paid')) > 1_000);
    expect(closed).toBe(false);
    const second = listenerOf('paid', () => undefined);
    await start(second.Listener, { claimAfter: '1h' });
    expect(numbers(second.seen)).toEqual([]);
    release.resolve();
    await closing;
    await until(async () => (await owed('paid')) === 0);
    expect([numbers(first.seen), numbers(second.seen)]).toEqual([[0], [1, 2]]);
  });

  it('moves what is given up, and what is no event, to the dead-letter stream', async () => {
    const { Listener, seen } = listenerOf('paid', ({ n }, context) =>
      n === 0 ? context.giveUp(new Error('no such customer')) : undefined,
    );
    await start(Listener);
    const [bad, good] = itemsOf('paid', 2);
    await admin.client.xadd('paid', '*', 'something', 'else');
    await broker.publish([bad!, good!], patient());
    await until(async () => seen.length === 2 && (await owed('paid')) === 0);
    const dead = await admin.entries('paid.dead-letter');
    expect(dead).toHaveLength(2);
    expect(dead).toEqual(
      expect.arrayContaining([
        { something: 'else', error: 'its field "data" is missing' },
        {
          ...{ pattern: 'paid', data: bad!.payload, headers: JSON.stringify(bad!.headers) },
          error: 'no such customer',
        },
      ]),
    );
  });

  it('keeps what is given up as long as the dead-letter stream cannot take it', async () => {
    const { Listener, seen } = listenerOf('paid', (_, context) => context.giveUp(new Error('no customer')));
    await admin.client.set('paid.dead-letter', 'no stream');
    const app = await start(Listener);
    await broker.publish(itemsOf('paid', 1), patient());
    await until(() => seen.length === 2);
    await stop(app);
    expect(await owed('paid')).toBe(1);
    await admin.client.del('paid.dead-letter');
    await start(Listener);
    await until(async () => (await owed('paid')) === 0);
    expect(await admin.entries('paid.dead-letter')).toMatchObject([{ error: 'no customer' }]);
  });

  it.each(['nest', 'cloudevents', 'plain'] as const)('reads the envelope %s', async (envelope) => {
    const { Listener, seen } = listenerOf('paid', () => undefined);
    await start(Listener, { streamPrefix: 'shop:' });
    const writer = new RedisStreamsBroker({ url: server.url, streamPrefix: 'shop:', envelope });
    const item = itemOf({ type: 'paid', key: 'order-7', payload: { n: 7 } });
    await writer.publish([item], patient());
    await until(() => seen.length === 1);
    expect(seen).toEqual([{ n: 7, key: 'order-7', eventId: item.eventId }]);
    await writer.close();
  });

  it('uses the settings of a ready client, such as its key prefix', async () => {
    const client = new Redis(server.url, { keyPrefix: 'app:', lazyConnect: true });
    const writer = new RedisStreamsBroker({ client });
    const { Listener, seen } = listenerOf('paid', () => undefined);
    await start(Listener, { client });
    await writer.publish(itemsOf('paid', 2), patient());
    await until(() => seen.length === 2);
    expect(client.status).toBe('wait');
    await writer.close();
  });

  it('a new group begins with what is there, or with what is new', async () => {
    await broker.publish(itemsOf('paid', 2), patient());
    const { Listener, seen } = listenerOf('paid', () => undefined);
    await start(Listener, { fromBeginning: false });
    await broker.publish([itemOf({ type: 'paid', payload: { n: 5 } })], patient());
    await until(() => seen.length === 1);
    expect(numbers(seen)).toEqual([5]);
  });

  it('loses nothing and keeps the order of a key when the server is killed and comes back', async () => {
    let gate = new Deferred<void>();
    const { Listener, seen } = listenerOf('paid', ({ n }) => (n >= 100 ? gate.promise : undefined));
    await start(Listener, { claimAfter: 500 });
    await broker.publish(itemsOf('paid', 300, 5), patient());
    await until(() => numbers(seen).includes(100));
    await server.kill();
    await server.up();
    gate.resolve();
    gate = new Deferred();
    gate.resolve();
    await until(() => new Set(numbers(seen)).size === 300);
    await until(async () => (await owed('paid')) === 0);
    for (let key = 0; key < 5; key++) {
      const ofKey = [...new Set(numbers(seen.filter((it) => it.key === `key-${key}`)))];
      expect(ofKey).toEqual(ofKey.toSorted((a, b) => a - b));
    }
  });

  it('passes over nothing when its group is gone, wherever new groups begin', async () => {
    const { Listener, seen } = listenerOf('paid', () => undefined);
    await start(Listener, { fromBeginning: false });
    const publish = (n: number) => broker.publish([itemOf({ type: 'paid', payload: { n } })], patient());
    await publish(1);
    await until(() => numbers(seen).includes(1));
    await admin.client.multi().del('paid').xadd('paid', '*', 'data', '{"n":2}').exec();
    await publish(3);
    await until(() => numbers(seen).includes(3));
    expect(numbers(seen)).toEqual([1, 2, 3]);
  });

  it('looks past what living consumers have in hand for what a dead one has left', async () => {
    await broker.publish(itemsOf('paid', 40), patient());
    await admin.client.xgroup('CREATE', 'paid', 'billing', '0');
    const take = (name: string, count: number) =>
      admin.client.xreadgroup('GROUP', 'billing', name, 'COUNT', count, 'STREAMS', 'paid', '>');
    await take('living', 39);
    await take('dead', 1);
    const living = setInterval(() => void keep(), 50);
    const entries = (await admin.client.xrange('paid', '-', '+')).map(([id]) => id).slice(0, 39);
    const keep = () => admin.client.xclaim('paid', 'billing', 'living', 0, ...entries, 'JUSTID');
    const { Listener, seen } = listenerOf('paid', () => undefined);
    await start(Listener, { claimAfter: 1_000, prefetch: 1 });
    await until(() => seen.length === 1);
    expect(numbers(seen)).toEqual([39]);
    clearInterval(living);
  });

  it('replaces a connection that broke, also when it has all in hand that it may', async () => {
    const proxy = await TcpProxy.to(server.port);
    let fails = true;
    const { Listener, seen } = listenerOf('paid', () => {
      if (fails) throw new Error('not yet');
    });
    await start(Listener, { url: `redis://127.0.0.1:${proxy.port}`, prefetch: 1 });
    await broker.publish(itemsOf('paid', 2), patient());
    await until(() => seen.length === 1);
    proxy.cut();
    fails = false;
    await until(() => numbers(seen).includes(1));
    await until(async () => (await owed('paid')) === 0);
    await proxy.close();
  });

  it('ends when it is told to, also when the server does not answer', async () => {
    const proxy = await TcpProxy.to(server.port);
    const { Listener, seen } = listenerOf('paid', () => undefined);
    const url = `redis://127.0.0.1:${proxy.port}`;
    const app = await start(Listener, { url, shutdownTimeout: 200 });
    await broker.publish(itemsOf('paid', 1), patient());
    await until(() => seen.length === 1);
    proxy.mute = true;
    const begin = Date.now();
    await stop(app);
    expect(Date.now() - begin).toBeLessThan(8_000);
    await proxy.close();
  });

  it('waits at boot for a server that is down', async () => {
    await server.kill();
    const { Listener, seen } = listenerOf('paid', () => undefined);
    await start(Listener);
    await server.up();
    await until(() => broker.ping().then(...([() => true, () => false] as const)));
    await broker.publish([itemOf({ type: 'paid' })], patient());
    await until(() => seen.length === 1);
  });

  it('refuses to boot with wrong credentials, and does not tell them', async () => {
    await admin.client.acl('SETUSER', 'clerk', 'on', '>right', '~*', '+@all');
    const { Listener } = listenerOf('paid', () => undefined);
    const url = server.url.replace('//', '//clerk:hunter2@');
    const error: unknown = await start(Listener, { url }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'SAGAZ_BROKER_UNAVAILABLE', refused: true });
    expect((error as Error).stack).not.toMatch(/hunter2/);
  });

  it('refuses to boot with a pattern that has wildcards', async () => {
    const { Listener } = listenerOf('order.*', () => undefined);
    await expect(start(Listener)).rejects.toThrow('the pattern "order.*" is no name of an event type');
  });

  it('refuses options that make no sense, all at once', () => {
    const options = { prefetch: 0, claimAfter: 'soon', groups: 'a' } as unknown;
    expect(() => new RedisStreamsTransport(options as RedisStreamsTransportOptions)).toThrow(
      expect.objectContaining({
        faults: [
          'unknown option "groups"; did you mean "group"?',
          'prefetch: expected a whole number of at least 1, got 0',
          "claimAfter: expected a duration such as 250, '250ms', '5s', '10m', '1h' or '7d', got 'soon'",
          'url, client: expected one of the two',
          'group: expected the name of the consumer group',
        ],
      }),
    );
  });
});
