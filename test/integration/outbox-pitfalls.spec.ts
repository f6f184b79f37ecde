import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { SagazModuleOptions } from '../../lib/options/sagaz-module-options.js';
import { readSql } from '../../lib/persistence/typeorm/sql/outbox-sql.js';
import { tablesOf } from '../../lib/persistence/typeorm/identifiers.js';
import { Deferred } from '../../lib/runtime/deferred.js';
import { describeWith } from '../support/requirement.js';
import { OK, TestBroker } from '../support/test-broker.js';
import { startSagaProcess, stopSagaProcesses } from '../support/saga-process.js';
import { applicationDatabase, type ApplicationDatabase } from '../support/test-data-source.js';
import { until } from '../support/until.js';

/** What other outboxes get wrong, each by its number in the list of pitfalls, and that this one does not. */
describeWith('postgres', 'the outbox does not', () => {
  let database: ApplicationDatabase;

  beforeAll(async () => {
    database = await applicationDatabase();
    await database.dataSource.query('CREATE TABLE purchase (id int PRIMARY KEY)');
  });
  afterEach(async () => {
    await stopSagaProcesses();
    await database.dataSource.query(
      'TRUNCATE purchase, saga_outbox, saga_outbox_retry, saga_outbox_dead_letter',
    );
  });
  afterAll(() => database.close());

  async function relaying(options: SagazModuleOptions = {}) {
    const broker = new TestBroker();
    const process = await startSagaProcess(database.url, [], { broker, worker: { lease: '1s' }, ...options });
    const { outbox } = process.runtime;
    return { broker, outbox, ...process };
  }
  const writing = () => startSagaProcess(database.url, [], { worker: false });
  const count = async (table: string) =>
    (await database.dataSource.query<unknown[]>(`SELECT 1 FROM ${table}`)).length;

  it('(14) keep an event of business data that was rolled back, or lose one of data that was committed', async () => {
    const { broker, outbox, application } = await relaying();
    const buy = (id: number, fails: boolean) =>
      application.transaction(async (manager) => {
        await manager.query('INSERT INTO purchase VALUES ($1)', [id]);
        await outbox.publish(manager, { type: 'purchase.made', key: String(id), payload: id });
        if (fails) throw new Error('refused');
      });
    await expect(buy(1, true)).rejects.toThrow('refused');
    await buy(2, false);
    await until(() => broker.taken.length > 0);
    expect(broker.taken.map(({ payload }) => payload)).toEqual(['2']);
    expect(await count('purchase')).toBe(1);
  });

  it('(15) leave the events of a worker that died to nobody', async () => {
    const first = await relaying();
    first.broker.instead = () => new Promise(() => undefined);
    const writer = await writing();
    await writer.application.transaction((manager) => writer.runtime.outbox.publish(manager, { type: 'a' }));
    await until(async () => (await count('saga_outbox_shard WHERE owner IS NOT NULL')) === 16);
    first.cutOff();
    const second = await relaying();
    await until(() => second.broker.taken.length === 1);
  });

  it('(16) strand an event between publishing and its removal: it comes again, under the same id', async () => {
    const first = await relaying();
    const published = new Deferred<string>();
    first.broker.instead = (batch) => {
      published.resolve(batch[0]?.eventId ?? '');
      // Taken, and then the process loses its database before it can remove it.
      first.cutOff();
      return Promise.resolve(batch.map(() => OK));
    };
    const writer = await writing();
    await writer.application.transaction((manager) => writer.runtime.outbox.publish(manager, { type: 'a' }));
    const id = await published.promise;
    const second = await relaying();
    await until(() => second.broker.taken.length === 1);
    expect(second.broker.taken[0]?.eventId).toBe(id);
    await until(async () => (await count('saga_outbox')) === 0);
  });

  it('(17) take an outage for poison: nothing is given up, and everything comes when the broker is back', async () => {
    const retry = { maxAttempts: 2, initialInterval: 10, maxInterval: 10 };
    const { broker, outbox, application } = await relaying({ outbox: { retry } });
    broker.down = true;
    for (let n = 0; n < 100; n++)
      await application.transaction((manager) =>
        outbox.publish(manager, { type: 'a', key: 'k', payload: n }),
      );
    await sleep(2_000);
    expect([await count('saga_outbox'), await count('saga_outbox_retry')]).toEqual([100, 0]);
    broker.down = false;
    await until(() => broker.taken.length === 100);
    expect(broker.taken.map(({ payload }) => Number(payload))).toEqual(
      Array.from({ length: 100 }, (_, n) => n),
    );
    expect(await count('saga_outbox_dead_letter')).toBe(0);
  });

  it('(18) mix up the events of one key, nor lose keys and headers on the way', async () => {
    const { broker, outbox, application } = await relaying({ outbox: { batchSize: 7 } });
    for (let n = 0; n < 200; n++)
      await application.transaction((manager) =>
        outbox.publish(manager, { type: 'a', key: `k${n % 3}`, payload: n, headers: { tenant: 'north' } }),
      );
    await until(() => broker.taken.length === 200);
    for (const key of ['k0', 'k1', 'k2']) {
      const own = broker.taken.filter((it) => it.key === key).map(({ payload }) => Number(payload));
      expect(own).toEqual(own.toSorted((a, b) => a - b));
    }
    expect(broker.taken[0]?.headers).toMatchObject({
      tenant: 'north',
      type: 'a',
      id: broker.taken[0]?.eventId,
    });
  });

  it('(20) hang in its shutdown because a broker does not answer', async () => {
    const { broker, outbox, application, stop } = await relaying({ outbox: { publishTimeout: '200ms' } });
    broker.instead = () => new Promise(() => undefined);
    await application.transaction((manager) => outbox.publish(manager, { type: 'a' }));
    const began = performance.now();
    await stop();
    expect(performance.now() - began).toBeLessThan(5_000);
    expect((await count('saga_outbox')) + (await count('saga_outbox_retry'))).toBe(1);
  });

  it('(21) drop an event that this process has no broker for: another one has', async () => {
    await relaying();
    const audit = new TestBroker();
    const writer = await startSagaProcess(database.url, [], {
      worker: false,
      brokers: { audit: new TestBroker() },
    });
    await writer.application.transaction((manager) =>
      writer.runtime.outbox.publish(manager, { type: 'a', destination: 'audit' }),
    );
    await sleep(500);
    expect(await count('saga_outbox')).toBe(1);
    await stopSagaProcesses();
    await relaying({ brokers: { audit } });
    await until(() => audit.taken.length === 1);
  });

  it('(22) read more of a long backlog than of a short one', async () => {
    await writing();
    const client = new pg.Client(database.url);
    await client.connect();
    await client.query(
      `INSERT INTO saga_outbox (shard, event_id, destination, type, key, payload, headers)
       SELECT n % 16, gen_random_uuid(), 'default', 'a', n::text, '{}', '{}' FROM generate_series(1, 50000) AS n`,
    );
    await client.query('ANALYZE saga_outbox');
    const shards = Array.from({ length: 16 }, (_, shard) => shard);
    const values = [shards, shards.map(() => '0'), [], '18446744073709551615', shards.map(() => 10)];
    const { rows } = await client.query<{ 'QUERY PLAN': string }>(
      `EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) ${readSql(tablesOf('public'))}`,
      values,
    );
    const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
    expect(plan).not.toMatch(/Seq Scan/);
    const read = [
      ...plan.matchAll(/Index Scan using \w+ on saga_outbox \w+ \(actual rows=(\d+) loops=(\d+)\)/g),
    ];
    const total = read.reduce((sum, [, found, loops]) => sum + Number(found) * Number(loops), 0);
    expect(total).toBeLessThanOrEqual(160);
    await client.end();
  });

  it('(24) lose an event whose transaction commits late, with a smaller id than one that was relayed', async () => {
    const { broker, outbox, application } = await relaying();
    const [written, go] = [new Deferred<void>(), new Deferred<void>()];
    const late = application.transaction(async (manager) => {
      await outbox.publish(manager, { type: 'late', key: 'k' });
      written.resolve();
      await go.promise;
    });
    await written.promise;
    await application.transaction((manager) => outbox.publish(manager, { type: 'early', key: 'k' }));
    await until(() => broker.taken.length === 1);
    go.resolve();
    await late;
    await until(() => broker.taken.length === 2);
    expect(broker.taken.map(({ type }) => type)).toEqual(['early', 'late']);
  });
});
