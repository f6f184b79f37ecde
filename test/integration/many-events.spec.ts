import { DataSource } from 'typeorm';
import { openEngine } from '../../lib/persistence/typeorm/engine-data-source.js';
import { tablesOf } from '../../lib/persistence/typeorm/identifiers.js';
import { TypeOrmRetryStorage } from '../../lib/persistence/typeorm/typeorm-retry-storage.js';
import { describeWith } from '../support/requirement.js';
import { startSagaProcess, stopSagaProcesses, type SagaProcess } from '../support/saga-process.js';
import { applicationDatabase, type ApplicationDatabase } from '../support/test-data-source.js';

describeWith('postgres', 'operators who mean many events', () => {
  let database: ApplicationDatabase;
  let shop: SagaProcess;

  beforeAll(async () => {
    database = await applicationDatabase();
    shop = await startSagaProcess(database.url, [], { worker: false, outbox: { retention: '1h' } });
  });
  afterEach(() =>
    database.dataSource.query(
      'TRUNCATE saga_outbox, saga_outbox_retry, saga_outbox_dead_letter, saga_outbox_sent, saga_audit',
    ),
  );
  afterAll(async () => {
    await stopSagaProcesses();
    await database.close();
  });

  const query = <T>(text: string, values: readonly unknown[] = []) =>
    database.dataSource.query<T[]>(text, [...values]);
  const count = async (table: string) => (await query(`SELECT 1 FROM ${table}`)).length;

  /** Events that gave up, one after the other. */
  const bury = (events: number) =>
    query(
      `INSERT INTO saga_outbox_dead_letter
         (shard, event_id, destination, type, key, payload, headers, created_at, reason, attempts, died_at)
       SELECT 0, gen_random_uuid(), 'default', 'order.poison', 'k', '{}', '{}', now(), 'rejected: no', 1,
         now() + n * interval '1 microsecond' FROM generate_series(1, $1) AS n`,
      [events],
    );

  it('can look at all of them, page by page, also where thousands died in the same millisecond', async () => {
    await bury(1_100);
    const admin = shop.runtime.outboxAdmin;
    const seen: string[] = [];
    for (let after: string | undefined, more = true; more; more = after !== undefined) {
      const { letters, next } = await admin.listDeadLetters({ limit: 500, after });
      seen.push(...letters.map(({ eventId }) => eventId));
      after = next;
    }
    const rows = await query<{ id: string }>(
      'SELECT event_id AS id FROM saga_outbox_dead_letter ORDER BY died_at DESC, event_id',
    );
    expect(seen).toEqual(rows.map(({ id }) => id));
  });

  it.each(['requeue', 'discard'] as const)('can %s thousands, part by part', async (change) => {
    await bury(2_500);
    expect(await shop.runtime.outboxAdmin[change]({ key: 'k' })).toBe(2_500);
    const notes = await shop.runtime.sagaAdmin.audit({ action: change });
    expect(notes.map(({ after }) => after)).toEqual([500, 1_000, 1_000].map((events) => ({ events })));
    expect([await count('saga_outbox_dead_letter'), await count('saga_outbox_retry')]).toEqual([
      ...[0, change === 'requeue' ? 2_500 : 0],
    ]);
  });

  it('requeue thousands in the order in which they died', async () => {
    await bury(1_500);
    const died = await query('SELECT event_id FROM saga_outbox_dead_letter ORDER BY died_at');
    await shop.runtime.outboxAdmin.requeue({ key: 'k' });
    expect(await query('SELECT event_id FROM saga_outbox_retry ORDER BY seq')).toEqual(died);
  });

  it('each get what the other has left when two requeue the same at once', async () => {
    await bury(3_000);
    const { outboxAdmin } = shop.runtime;
    const both = await Promise.all([outboxAdmin.requeue({ key: 'k' }), outboxAdmin.requeue({ key: 'k' })]);
    expect([both[0] + both[1], await count('saga_outbox_dead_letter')]).toEqual([3_000, 0]);
  });

  it('can republish thousands, part by part, in the order in which they were written', async () => {
    await query(
      `INSERT INTO saga_outbox_sent
         (leaf, id, shard, event_id, destination, type, key, payload, headers, created_at)
       SELECT n % 8, CASE WHEN n % 10 > 0 THEN n END, 0, gen_random_uuid(), 'default', 'a', 'k', '{}', '{}',
         now() + n / 700 * interval '1 microsecond' FROM generate_series(1, 2500) AS n`,
    );
    const written = await query('SELECT event_id FROM saga_outbox_sent ORDER BY created_at, id, leaf, ctid');
    expect(await shop.runtime.outboxAdmin.republish({ key: 'k' })).toBe(2_500);
    expect(await query('SELECT event_id FROM saga_outbox ORDER BY id')).toEqual(written);
    const notes = await shop.runtime.sagaAdmin.audit({ action: 'republish' });
    expect(notes.map(({ after }) => after)).toEqual([500, 1_000, 1_000].map((events) => ({ events })));
  });

  it('leave no transaction open on a connection when the database does not answer in time', async () => {
    const engine = new DataSource({
      ...{ type: 'postgres', url: database.url, poolSize: 1 },
      extra: { query_timeout: 1_000 },
    });
    await openEngine(engine);
    const settings = { engine, tables: tablesOf('public'), retentionMs: false as const };
    const storage = new TypeOrmRetryStorage(settings);
    const discard = () =>
      storage.discard({ key: 'k' }, { actor: 'ada', action: 'discard', target: 'k', reason: null });
    await bury(1);
    try {
      await database.dataSource.transaction(async (manager) => {
        await manager.query('SELECT FROM saga_outbox_dead_letter FOR UPDATE');
        await expect(discard()).rejects.toThrow('timeout');
      });
      expect(await discard()).toBe(1);
      expect([await count('saga_outbox_dead_letter'), await count('saga_audit')]).toEqual([0, 1]);
    } finally {
      await engine.destroy();
    }
  });

  describe('named one by one, as many as a list has', () => {
    it.each(['requeue', 'discard'] as const)('can %s them, and it stands in the audit', async (change) => {
      await bury(500);
      const admin = shop.runtime.outboxAdmin;
      const eventIds = (await admin.deadLetters({ limit: 500 })).map(({ eventId }) => eventId);
      expect(await admin[change]({ eventIds }, { actor: 'ada' })).toBe(500);
      const notes = await shop.runtime.sagaAdmin.audit({ target: JSON.stringify({ eventIds }) });
      expect(notes).toMatchObject([{ actor: 'ada', action: change, after: { events: 500 } }]);
      expect(await count('saga_outbox_dead_letter')).toBe(0);
    });

    it('can republish them, and it stands in the audit', async () => {
      await query(
        `INSERT INTO saga_outbox_sent (leaf, shard, event_id, destination, type, key, payload, headers, created_at)
         SELECT 0, 0, gen_random_uuid(), 'default', 'a', 'k', '{}', '{}', now() FROM generate_series(1, 500)`,
      );
      const rows = await query<{ id: string }>('SELECT event_id AS id FROM saga_outbox_sent');
      const eventIds = rows.map(({ id }) => id);
      expect(await shop.runtime.outboxAdmin.republish({ eventIds })).toBe(500);
      expect([await count('saga_outbox'), await count('saga_audit')]).toEqual([500, 1]);
    });
  });
});
