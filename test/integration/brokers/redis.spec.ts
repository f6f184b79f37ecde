import { Redis } from 'ioredis';
import { RedisStreamsBroker, type RedisStreamsBrokerOptions } from '../../../lib/redis.js';
import { itemOf, itemsOf, patient, statuses, told } from '../../support/brokers/broker-item.js';
import { RedisListener } from '../../support/brokers/redis.js';
import { describeWith } from '../../support/requirement.js';
import { RedisServer } from '../../support/services/redis-server.js';
import { TcpProxy } from '../../support/tcp-proxy.js';
import { until } from '../../support/until.js';

const OK = { status: 'ok' };
const unavailable = (refused: boolean) => ({ code: 'SAGAZ_BROKER_UNAVAILABLE', refused });

describeWith('redis-server', 'RedisStreamsBroker and a server that may be in trouble', () => {
  let server: RedisServer;
  let admin: RedisListener;
  const brokers: RedisStreamsBroker[] = [];
  const open = async (options: Partial<RedisStreamsBrokerOptions> = {}) => {
    const where = options.client ? {} : { url: server.url };
    const broker = new RedisStreamsBroker({ ...where, ...options });
    brokers.push(broker);
    await broker.connect();
    return broker;
  };
  beforeAll(async () => {
    server = await RedisServer.start();
    admin = new RedisListener(server.url, '');
  });
  afterEach(async () => {
    for (const broker of brokers.splice(0)) await broker.close();
    await admin.client.config('SET', 'maxmemory', '0');
  });
  afterAll(async () => {
    await admin.close();
    await server.remove();
  });

  it('writes an entry of pattern, data and headers', async () => {
    const broker = await open();
    const item = itemOf({ type: 'written', payload: { a: [1] } });
    await broker.publish([item], patient());
    expect(await admin.entries('written')).toEqual([
      { pattern: 'written', data: '{"a":[1]}', headers: JSON.stringify(item.headers) },
    ]);
  });

  it.each([
    ['plain', ['data', 'headers']],
    ['cloudevents', ['event', 'headers']],
  ] as const)('writes an entry with the envelope %s', async (envelope, names) => {
    const broker = await open({ envelope });
    await broker.publish([itemOf({ type: `as ${envelope}` })], patient());
    const [entry = {}] = await admin.entries(`as ${envelope}`);
    expect(Object.keys(entry)).toEqual(names);
  });

  it('a server without memory left is an outage: nothing is rejected, and when there is memory it goes on', async () => {
    const broker = await open();
    await admin.client.config('SET', 'maxmemory', '1');
    const batch = itemsOf('starved', 3);
    const outcomes = await told(broker, batch);
    expect(statuses(outcomes)).toEqual(['untold', 'untold', 'untold']);
    expect(outcomes[0]).toMatchObject({ reason: expect.stringContaining('OOM') as unknown });
    await expect(broker.ping()).rejects.toMatchObject(unavailable(false));
    await admin.client.config('SET', 'maxmemory', '0');
    await broker.ping();
    expect(await broker.publish(batch, patient())).toEqual([OK, OK, OK]);
    expect(await admin.entries('starved')).toHaveLength(3);
  });

  it('says of a server without memory left that it is down, not that it refuses', async () => {
    await admin.client.config('SET', 'maxmemory', '1');
    await expect(open()).rejects.toMatchObject(unavailable(false));
  });

  it('a replica is an outage', async () => {
    const broker = await open();
    await admin.client.replicaof('127.0.0.1', '1');
    try {
      const [outcome] = await told(broker, [itemOf({ type: 'replica' })]);
      expect(outcome).toMatchObject({
        ...{ status: 'untold', reason: expect.stringContaining('READONLY') as unknown },
      });
      await expect(broker.ping()).rejects.toMatchObject(unavailable(false));
    } finally {
      await admin.client.replicaof('NO', 'ONE');
    }
  });

  it('rejects an event whose stream is something else, and takes the others', async () => {
    const broker = await open();
    await admin.client.set('occupied', 'by a text');
    const batch = ['free', 'occupied', 'free'].map((type) => itemOf({ type }));
    expect(await broker.publish(batch, patient())).toEqual([
      OK,
      { status: 'rejected', reason: 'unroutable' },
      OK,
    ]);
  });

  describe('with users', () => {
    const as = (user: string, password: string) => server.url.replace('//', `//${user}:${password}@`);
    beforeAll(() => admin.client.acl('SETUSER', 'clerk', 'on', '>right', '~order.*', '+@all'));

    it('does not tell the password of wrong credentials, and knows that waiting does not help', async () => {
      const broker = new RedisStreamsBroker({ url: as('clerk', 'hunter2') });
      const error: unknown = await broker.connect().catch((thrown: unknown) => thrown);
      expect(error).toMatchObject(unavailable(true));
      const outcomes = await told(broker, [itemOf({ type: 'order.a' })]);
      for (const text of [(error as Error).stack, JSON.stringify([error, outcomes])])
        expect(text).not.toMatch(/hunter2/);
      expect(statuses(outcomes)).toEqual(['untold']);
    });

    it('rejects as unauthorised what the user may not write, and takes the others', async () => {
      const broker = await open({ url: as('clerk', 'right') });
      await broker.ping();
      const batch = ['order.a', 'salary.paid', 'order.b'].map((type) => itemOf({ type }));
      const denied = { status: 'rejected', reason: 'unauthorised' };
      expect(await broker.publish(batch, patient())).toEqual([OK, denied, OK]);
    });

    it('a user who may add to no stream at all is refused', async () => {
      await admin.client.acl(
        'SETUSER',
        'reader',
        'on',
        '>right',
        '~*',
        '+@read',
        '+ping',
        '+info',
        '+client',
      );
      await expect(open({ url: as('reader', 'right') })).rejects.toMatchObject(unavailable(true));
    });
  });

  it('uses the settings of a ready client, for a connection of its own', async () => {
    const client = new Redis(server.url, { keyPrefix: 'app:', lazyConnect: true });
    const broker = await open({ client, streamPrefix: 'events:' });
    expect(await broker.publish([itemOf({ type: 'mine' })], patient())).toEqual([OK]);
    expect(await admin.entries('app:events:mine')).toHaveLength(1);
    expect(client.status).toBe('wait');
  });

  describe('trim', () => {
    it('minid removes what every group has acknowledged, and nothing else', async () => {
      const { client } = admin;
      await client.xgroup('CREATE', 'trimmed', 'fast', '0', 'MKSTREAM');
      await client.xgroup('CREATE', 'trimmed', 'slow', '0');
      const plain = await open();
      await plain.publish(itemsOf('trimmed', 1_000), patient());
      const take = async (group: string, count: number) => {
        const found = (await client.xreadgroup(
          ...(['GROUP', group, 'one', 'COUNT', count, 'STREAMS', 'trimmed', '>'] as const),
        )) as [string, [string, string[]][]][];
        return found[0]?.[1].map(([id]) => id) ?? [];
      };
      const slow = await take('slow', 500);
      await client.xack('trimmed', 'fast', ...(await take('fast', 1_000)));
      await client.xack('trimmed', 'slow', ...slow.slice(0, 400));

      const trimming = await open({ trim: 'minid' });
      await trimming.publish(itemsOf('trimmed', 1), patient());
      await trimming.close();
      const left = (await client.xrange('trimmed', '-', '+')).map(([id]) => id);
      expect(left).toEqual(expect.arrayContaining(slow.slice(400)));
      // Redis removes whole nodes of a hundred entries.
      expect(left.length).toBeGreaterThanOrEqual(601);
      expect(left.length).toBeLessThanOrEqual(701);
    });

    it('trims the streams of a client with a key prefix too', async () => {
      await admin.client.xgroup('CREATE', 'app:read', 'all', '0', 'MKSTREAM');
      const client = new Redis(server.url, { keyPrefix: 'app:', lazyConnect: true });
      const broker = await open({ client });
      await broker.publish(itemsOf('read', 300), patient());
      await admin.client.xgroup('SETID', 'app:read', 'all', '$');
      const trimming = await open({ client, trim: 'minid' });
      await trimming.publish(itemsOf('read', 1), patient());
      await trimming.close();
      expect(await admin.client.xlen('app:read')).toBeLessThan(300);
    });

    it('leaves a stream alone that nobody reads', async () => {
      const broker = await open({ trim: 'minid' });
      await broker.publish(itemsOf('unread', 300), patient());
      await broker.close();
      expect(await admin.client.xlen('unread')).toBe(300);
    });
  });

  it('drops a connection that does not answer, and goes on with another one', async () => {
    const proxy = await TcpProxy.to(server.port);
    try {
      const broker = await open({ url: `redis://127.0.0.1:${proxy.port}` });
      proxy.mute = true;
      const outcomes = await told(broker, itemsOf('silent', 2), AbortSignal.timeout(200));
      expect(statuses(outcomes)).toEqual(['untold', 'untold']);
      proxy.mute = false;
      await broker.ping();
      expect(await broker.publish(itemsOf('silent', 2), patient())).toEqual([OK, OK]);
    } finally {
      await proxy.close();
    }
  });

  it('loses nothing and keeps first deliveries in order when connections are cut and the server is killed', async () => {
    const proxy = await TcpProxy.to(server.port);
    const broker = await open({ url: `redis://127.0.0.1:${proxy.port}` });
    const total = 20_000;
    const left = itemsOf('load', total);
    let trouble = 0;
    for (let round = 1; left.length > 0; round++) {
      const batch = left.slice(0, 500);
      const publishing = told(broker, batch);
      if (round % 7 === 0) setImmediate(() => proxy.cut());
      if (round === 20) await server.kill();
      const outcomes = await publishing;
      const first = outcomes.findIndex(({ status }) => status !== 'ok');
      left.splice(0, first === -1 ? batch.length : first);
      if (round === 20) await server.up();
      if (first === -1) continue;
      trouble += 1;
      await until(() =>
        broker.ping().then(
          () => true,
          () => false,
        ),
      );
    }
    await proxy.close();
    expect(trouble).toBeGreaterThan(3);
    const numbers = (await admin.entries('load')).map(
      ({ data = '' }) => (JSON.parse(data) as { n: number }).n,
    );
    expect([...new Set(numbers)]).toEqual(Array.from({ length: total }, (_, n) => n));
  });
});
