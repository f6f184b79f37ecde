import type { OutboxEventInput } from '../../lib/events/outbox-event.js';
import type { SagazModuleOptions } from '../../lib/options/sagaz-module-options.js';
import { leafSpanMs } from '../../lib/persistence/typeorm/sent-leaves.js';
import { nextLeafSql } from '../../lib/persistence/typeorm/sql/sent-sql.js';
import { Deferred } from '../../lib/runtime/deferred.js';
import { describeWith } from '../support/requirement.js';
import { OK, TestBroker } from '../support/test-broker.js';
import { startSagaProcess, stopSagaProcesses, testSaga } from '../support/saga-process.js';
import { applicationDatabase, type ApplicationDatabase } from '../support/test-data-source.js';
import { until } from '../support/until.js';

describeWith('postgres', 'events in PostgreSQL', () => {
  let database: ApplicationDatabase;

  beforeAll(async () => {
    database = await applicationDatabase();
  });
  afterEach(async () => {
    await stopSagaProcesses();
    await database.dataSource.query(
      'TRUNCATE saga_outbox, saga_outbox_retry, saga_outbox_dead_letter, saga_outbox_sent',
    );
  });
  afterAll(() => database.close());

  async function relaying(options: SagazModuleOptions = {}, broker = new TestBroker()) {
    const process = await startSagaProcess(database.url, [], { broker, worker: { lease: '1s' }, ...options });
    const publish = (...events: readonly OutboxEventInput[]) =>
      process.application.transaction((manager) => process.runtime.outbox.publish(manager, events));
    return { broker, publish, admin: process.runtime.outboxAdmin, ...process };
  }
  const query = <T>(text: string, values: readonly unknown[] = []) =>
    database.dataSource.query<T[]>(text, [...values]);
  const count = async (table: string) => (await query(`SELECT 1 FROM ${table}`)).length;
  const types = ({ taken }: TestBroker) => taken.map(({ type }) => type);

  describe('that are kept after they were published', () => {
    const RETENTION_MS = 7 * 86_400_000;
    const outbox = { retention: '7d' as const };

    it('are published again under their ids and in their order, by what they are', async () => {
      const { broker, publish, admin } = await relaying({ outbox });
      await publish(...['a', 'b', 'c'].map((type) => ({ type, key: 'k' })), { type: 'x', key: 'other' });
      await publish({ type: 'late', key: 'k', delay: 10 });
      await until(() => broker.taken.length === 5);
      await until(async () => (await count('saga_outbox_sent')) === 5);
      expect([await count('saga_outbox'), await count('saga_outbox_retry')]).toEqual([0, 0]);
      const ids = new Map(broker.taken.map(({ eventId, type }) => [type, eventId]));
      expect(await admin.republish({ key: 'k', sentAfter: new Date(Date.now() + 60_000) })).toBe(0);
      expect(await admin.republish({ key: 'k' })).toBe(4);
      await until(() => broker.taken.length === 9);
      const again = broker.taken.slice(5);
      expect(again.map(({ type }) => type)).toEqual(['a', 'b', 'c', 'late']);
      expect(again.map(({ eventId }) => eventId)).toEqual(again.map(({ type }) => ids.get(type)));
      await expect(admin.republish({})).rejects.toThrow('republish: name eventIds');
    });

    it('are forgotten when they were kept long enough, and never before', async () => {
      const { publish, runtime, broker } = await relaying({ outbox });
      await publish({ type: 'old' }, { type: 'young' });
      await until(async () => broker.taken.length === 2 && (await count('saga_outbox_sent')) === 2);
      const [next] = await query<{ leaf: number }>(nextLeafSql, [leafSpanMs(RETENTION_MS)]);
      await query(`UPDATE saga_outbox_sent SET leaf = $1, sent_at = now() - interval '8 days'`, [next?.leaf]);
      await query(`UPDATE saga_outbox_sent SET sent_at = now() - interval '6 days' WHERE type = 'young'`);
      await runtime.persistence.outbox.forgetSent();
      expect(await count('saga_outbox_sent')).toBe(2);
      await query(`UPDATE saga_outbox_sent SET sent_at = now() - interval '8 days'`);
      await runtime.persistence.outbox.forgetSent();
      expect(await count('saga_outbox_sent')).toBe(0);
    });

    it('hold up no publisher while they are forgotten: the lock is not waited for', async () => {
      // One that works is about to forget by itself.
      const { runtime, application } = await relaying({ outbox, worker: false });
      const [next] = await query<{ leaf: number }>(nextLeafSql, [leafSpanMs(RETENTION_MS)]);
      const leaf = `saga_outbox_sent_${next?.leaf}`;
      await query(
        `INSERT INTO saga_outbox_sent (leaf, shard, event_id, destination, type, key, payload, headers, created_at, sent_at)
         VALUES ($1, 0, gen_random_uuid(), 'default', 'a', 'k', '{}', '{}', now(), now() - interval '9 days')`,
        [next?.leaf],
      );
      const [reading, go] = [new Deferred<void>(), new Deferred<void>()];
      const reader = application.transaction(async (manager) => {
        await manager.query(`SELECT 1 FROM ${leaf}`);
        reading.resolve();
        await go.promise;
      });
      await reading.promise;
      await expect(runtime.persistence.outbox.forgetSent()).rejects.toThrow(/lock timeout/);
      go.resolve();
      await reader;
      await runtime.persistence.outbox.forgetSent();
      expect(await count(leaf)).toBe(0);
    });
  });

  it('are not kept without being asked', async () => {
    const { broker, publish, admin } = await relaying();
    await publish({ type: 'a' });
    await until(async () => broker.taken.length === 1 && (await count('saga_outbox')) === 0);
    expect([await count('saga_outbox_sent'), await admin.republish({ type: 'a' })]).toEqual([0, 0]);
  });

  it('go out at their time and not before, from a transaction as from a step, and hold up no others', async () => {
    const saga = testSaga({
      one: {
        run: async (ctx) => {
          await ctx.publish({ type: 'step later', key: 'k', delay: '400ms' });
          await ctx.publish({ type: 'step now', key: 'k' });
        },
        readOnly: true,
      },
    });
    const broker = new TestBroker();
    const { application, runtime } = await startSagaProcess(database.url, [saga], { broker });
    const at = new Date(Date.now() + 400);
    await application.transaction((manager) =>
      runtime.outbox.publish(manager, [
        { type: 'later', key: 'k', availableAt: at },
        { type: 'now', key: 'k' },
        { type: 'past', key: 'k', availableAt: new Date(0) },
      ]),
    );
    await runtime.orchestrator.execute(saga, {});
    await until(() => broker.taken.length === 3);
    expect(types(broker).toSorted()).toEqual(['now', 'past', 'step now']);
    await until(() => broker.taken.length === 5);
    expect(Date.now()).toBeGreaterThanOrEqual(at.getTime());
    expect(types(broker).slice(3).toSorted()).toEqual(['later', 'step later']);
    for (const { type, headers } of broker.taken) {
      const { stampedAt } = headers;
      if (stampedAt === undefined) expect(type).not.toMatch(/later/);
      else expect(Date.parse(stampedAt)).toBeGreaterThan(Date.parse(headers['occurredAt'] ?? ''));
    }
    await until(async () => (await count('saga_outbox_retry')) === 0);
  });

  it('with large payloads arrive whole and in their order', async () => {
    const { broker, publish } = await relaying({ outbox: { batchSize: 200 } });
    const big = (n: number) => ({
      type: `${n}`,
      key: 'k',
      payload: `${n}`.padEnd(n % 3 === 0 ? 700_000 : 10, '.'),
    });
    for (let n = 0; n < 90; n += 30) await publish(...Array.from({ length: 30 }, (_, i) => big(n + i)));
    await until(() => broker.taken.length === 90, 20_000);
    expect(types(broker)).toEqual(Array.from({ length: 90 }, (_, n) => `${n}`));
    for (const { payload, type } of broker.taken)
      expect(payload).toBe(JSON.stringify(big(Number(type)).payload));
    await until(async () => (await count('saga_outbox')) === 0);
  });

  it('for several destinations have each its own retries and dead letters', async () => {
    const audit = new TestBroker(({ type }) =>
      type === 'bad' ? { status: 'rejected', reason: 'too_large' } : OK,
    );
    const routes = [{ type: '*', to: ['default', 'audit'] }];
    const { broker, publish, admin } = await relaying({ brokers: { audit }, routes });
    await publish(
      { type: 'bad', key: 'k' },
      { type: 'good', key: 'k' },
      { type: 'one', destination: 'audit' },
    );
    await until(() => broker.taken.length === 2 && audit.taken.length === 2);
    expect([types(broker), types(audit).toSorted()]).toEqual([
      ['bad', 'good'],
      ['good', 'one'],
    ]);
    await until(async () => (await admin.deadLetters()).length === 1);
    const dead = await admin.deadLetters();
    expect(dead).toMatchObject([{ type: 'bad', destination: 'audit', reason: 'rejected: too_large' }]);
    expect(dead[0]?.eventId).toBe(broker.taken[0]?.eventId);
  });

  describe('of producers that lock nothing', () => {
    async function race(orderLock: boolean): Promise<readonly string[]> {
      const { broker, application, runtime } = await relaying({ outbox: { orderLock } });
      const [written, go] = [new Deferred<void>(), new Deferred<void>()];
      const slow = application.transaction(async (manager) => {
        await runtime.outbox.publish(manager, { type: 'slow 1', key: 'k' });
        written.resolve();
        await go.promise;
        await runtime.outbox.publish(manager, { type: 'slow 2', key: 'k' });
      });
      await written.promise;
      const others = application.transaction((manager) =>
        runtime.outbox.publish(manager, { type: 'other', key: 'other' }),
      );
      const quick = application.transaction((manager) =>
        runtime.outbox.publish(manager, { type: 'quick', key: 'k' }),
      );
      await others;
      await until(async () => {
        const waiting = await query(`SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`);
        return waiting.length > 0 || broker.taken.some(({ type }) => type === 'quick');
      });
      go.resolve();
      await Promise.all([slow, quick]);
      await until(() => broker.taken.length === 4);
      return types(broker).filter((type) => type !== 'other');
    }

    it('keep the order in which their transactions end, with orderLock', async () => {
      expect(await race(true)).toEqual(['slow 1', 'slow 2', 'quick']);
    });

    it('have none without it', async () => {
      expect(await race(false)).toEqual(['quick', 'slow 1', 'slow 2']);
    });
  });

  it('(pitfall 23) are counted by one process of the cluster, and by the next when that has gone', async () => {
    const processes = [];
    for (let n = 0; n < 3; n++) processes.push(await relaying({ outbox: { pollInterval: '10ms' } }));
    const runtimes = processes.map(({ runtime }) => runtime);
    const counting = () => runtimes.filter(({ outboxNumbers }) => outboxNumbers !== undefined);
    await until(() => counting().length > 0);
    expect(counting()).toEqual([runtimes[0]]);
    await processes[0]?.stop();
    await until(() => counting().length > 0, 15_000);
    expect(counting()).toEqual([runtimes[1]]);
  }, 30_000);

  it('are counted up to a hundred thousand, one long shard as far as many short ones', async () => {
    const { runtime } = await startSagaProcess(database.url, [], { worker: false });
    const fill = (shard: string, events: number) =>
      query(
        `INSERT INTO saga_outbox (shard, event_id, destination, type, key, payload, headers)
         SELECT ${shard}, gen_random_uuid(), 'default', 'a', 'k', '{}', '{}' FROM generate_series(1, $1) AS n`,
        [events],
      );
    await fill('3', 40_000);
    await fill('n % 16', 1_600);
    const some = await runtime.outboxAdmin.numbers();
    expect(some.pending.get('default')).toBe(41_600);
    expect([some.lag.get(3), some.lag.get(4)]).toEqual([40_100, 100]);
    await fill('3', 80_000);
    const many = await runtime.outboxAdmin.numbers();
    expect(many.pending.get('default')).toBeLessThanOrEqual(100_000);
    expect(many.pending.get('default')).toBeGreaterThan(95_000);
  }, 30_000);
});
