import { setTimeout as sleep } from 'node:timers/promises';
import { describeWith } from '../support/requirement.js';
import { startSagaProcess, stopSagaProcesses, testSaga } from '../support/saga-process.js';
import { applicationDatabase, type ApplicationDatabase } from '../support/test-data-source.js';

describeWith('postgres', 'a transactional step', () => {
  let database: ApplicationDatabase;
  const query = async <T>(sql: string): Promise<T> => database.dataSource.query(sql);
  const balance = async () => (await query<{ balance: number }[]>('SELECT balance FROM account'))[0]?.balance;

  beforeAll(async () => {
    database = await applicationDatabase();
    await query('CREATE TABLE account (balance int NOT NULL)');
    await query('CREATE TABLE note (text text UNIQUE DEFERRABLE INITIALLY DEFERRED)');
  });
  beforeEach(async () => {
    await query('TRUNCATE account, note');
    await query('INSERT INTO account VALUES (100)');
  });
  afterEach(stopSagaProcesses);
  afterAll(() => database.close());

  const debit = 'UPDATE account SET balance = balance - 10';
  const once = { retry: { maxAttempts: 2, initialInterval: 1 } } as const;

  it('leaves nothing of a failed attempt, though a statement of it was still on its way', async () => {
    const saga = testSaga({
      pay: {
        ...once,
        transactional: true,
        run: async ({ attempt, manager }) => {
          const writes = (async () => {
            await manager.query('SELECT pg_sleep(0.05)');
            await manager.query(`INSERT INTO note VALUES ('attempt ${attempt}')`);
            await manager.query(debit);
          })();
          writes.catch(() => undefined);
          if (attempt === 1) throw new Error('the other half failed');
          await writes;
        },
      },
    });
    const { runtime } = await startSagaProcess(database.url, saga);
    expect(await runtime.orchestrator.execute('test', {})).toMatchObject({ status: 'completed' });
    await sleep(150);
    expect(await query('SELECT text FROM note')).toEqual([{ text: 'attempt 2' }]);
    expect(await balance()).toBe(90);
  });

  it('gives no connection back with a nested transaction of a failed attempt open', async () => {
    const saga = testSaga({
      pay: {
        ...once,
        transactional: true,
        run: async ({ attempt, manager }) => {
          const nested = manager.transaction(async (inner) => {
            await inner.query(debit);
            await inner.query('SELECT pg_sleep(0.05)');
          });
          nested.catch(() => undefined);
          await sleep(10);
          if (attempt === 1) throw new Error('the other half failed');
          await nested;
        },
      },
    });
    const { runtime } = await startSagaProcess(database.url, saga);
    expect(await runtime.orchestrator.execute('test', {})).toMatchObject({ status: 'completed' });
    const open = `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'`;
    expect(await query(open)).toEqual([]);
    expect(await balance()).toBe(90);
  });

  it('is not completed while a nested transaction of it is open', async () => {
    const saga = testSaga({
      pay: {
        retry: false,
        transactional: true,
        run: ({ manager }) => {
          manager
            .transaction(async (inner) => {
              await inner.query(debit);
              await inner.query('SELECT pg_sleep(0.1)');
            })
            .catch(() => undefined);
          return sleep(30);
        },
      },
    });
    const { runtime } = await startSagaProcess(database.url, saga);
    const result = await runtime.orchestrator.execute('test', {});
    expect(result).toMatchObject({ status: 'compensated', error: { step: 'pay' } });
    expect(await balance()).toBe(100);
  });

  it('is rolled back at its time-out, also in the second attempt beside a first that never ended', async () => {
    const blocker = database.dataSource.createQueryRunner();
    await blocker.startTransaction();
    await blocker.query('SELECT * FROM account FOR UPDATE');
    const saga = testSaga({
      pay: {
        ...once,
        transactional: true,
        timeout: 100,
        run: async ({ attempt, manager }) => {
          if (attempt === 1) return sleep(180);
          return manager.query(debit);
        },
      },
    });
    const { runtime } = await startSagaProcess(database.url, saga);
    const startedAt = performance.now();
    const result = await runtime.orchestrator.execute('test', {});
    expect(result).toMatchObject({ status: 'compensated', error: { code: 'SAGAZ_STEP_TIMEOUT' } });
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    await blocker.rollbackTransaction();
    await blocker.release();
    await sleep(100);
    expect(await balance()).toBe(100);
  });

  it('is repeated after a deadlock without using up its only attempt', async () => {
    await query(`INSERT INTO note VALUES ('a'), ('b')`);
    const touch = (text: string) => `UPDATE note SET text = text WHERE text = '${text}'`;
    let met = 0;
    const saga = testSaga({
      pay: {
        retry: false,
        transactional: true,
        run: async ({ input, manager }) => {
          const order = input['reversed'] ? ['b', 'a'] : ['a', 'b'];
          await manager.query(touch(order[0] ?? ''));
          for (met += 1; met < 2;) await sleep(2);
          await manager.query(touch(order[1] ?? ''));
        },
      },
    });
    const { runtime } = await startSagaProcess(database.url, saga);
    const results = await Promise.all(
      [false, true].map((reversed) => runtime.orchestrator.execute('test', { reversed })),
    );
    expect(results.map(({ status }) => status)).toEqual(['completed', 'completed']);
    // On a busy server each of the two may be told that it is the victim.
    expect([3, 4]).toContain(met);
  });

  it('fails without effect when the database refuses its COMMIT', async () => {
    await query(`INSERT INTO note VALUES ('taken')`);
    const saga = testSaga({
      pay: {
        retry: false,
        transactional: true,
        run: async ({ manager }) => {
          await manager.query(debit);
          await manager.query(`INSERT INTO note VALUES ('taken')`);
        },
      },
    });
    const { runtime } = await startSagaProcess(database.url, saga);
    expect(await runtime.orchestrator.execute('test', {})).toMatchObject({
      status: 'compensated',
      error: { code: '23505' },
    });
    expect(await balance()).toBe(100);
  });
});
