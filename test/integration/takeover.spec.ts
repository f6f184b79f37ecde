import { setTimeout as sleep } from 'node:timers/promises';
import { SagazTelemetry } from '../../lib/index.js';
import { Deferred } from '../../lib/runtime/deferred.js';
import { describeWith } from '../support/requirement.js';
import { startSagaProcess, stopSagaProcesses, testSaga } from '../support/saga-process.js';
import { applicationDatabase, type ApplicationDatabase } from '../support/test-data-source.js';
import { until } from '../support/until.js';

describeWith('postgres', 'several processes', () => {
  let database: ApplicationDatabase;
  let calls: string[];

  beforeAll(async () => {
    database = await applicationDatabase();
  });
  beforeEach(() => {
    calls = [];
  });
  afterEach(async () => {
    await stopSagaProcesses();
    await database.dataSource.query(
      'TRUNCATE saga_instance, saga_payload, saga_journal, saga_key, saga_worker, saga_outbox',
    );
  });
  afterAll(() => database.close());

  const patient = { worker: { lease: '10s' } } as const;
  const says = (who: string, what: string) => calls.push(`${who} ${what}`);

  it('run each saga once, though all of them claim at the same time', async () => {
    const counts = new Map<string, number>();
    const saga = testSaga({
      work: {
        run: async ({ sagaId }) => {
          counts.set(sagaId, (counts.get(sagaId) ?? 0) + 1);
          await sleep(5);
        },
      },
    });
    const starter = await startSagaProcess(database.url, saga, { worker: false });
    const handles = await starter.application.transaction((manager) =>
      Promise.all(
        Array.from({ length: 200 }, () => starter.runtime.orchestrator.start('test', {}, { manager })),
      ),
    );
    for (let count = 0; count < 4; count++) await startSagaProcess(database.url, saga, patient);
    const results = await Promise.all(handles.map((handle) => handle.result({ timeout: '20s' })));
    expect(new Set(results.map(({ status }) => status))).toEqual(new Set(['completed']));
    expect([...counts.values()].filter((count) => count !== 1)).toEqual([]);
  });

  it('claim the others while the row of one saga is locked', async () => {
    const saga = testSaga({ work: { run: () => says('only', 'work') } });
    const starter = await startSagaProcess(database.url, saga, { worker: false });
    const handles = await starter.application.transaction((manager) =>
      Promise.all([1, 2, 3].map(() => starter.runtime.orchestrator.start('test', {}, { manager }))),
    );
    const blocker = database.dataSource.createQueryRunner();
    await blocker.startTransaction();
    const [locked, ...free] = handles;
    await blocker.query('SELECT 1 FROM saga_instance WHERE id = $1 FOR UPDATE', [locked?.sagaId]);
    await startSagaProcess(database.url, saga);
    for (const handle of free)
      expect(await handle.result({ timeout: '30s' })).toMatchObject({ status: 'completed' });
    expect(await starter.runtime.orchestrator.get(locked?.sagaId ?? '')).toMatchObject({ status: 'pending' });
    await blocker.rollbackTransaction();
    await blocker.release();
    expect(await locked?.result({ timeout: '30s' })).toMatchObject({ status: 'completed' });
  });

  it('take over from one that is cut off, which then changes nothing and begins nothing more', async () => {
    const sagaOf = (who: string) =>
      testSaga({
        reserve: { run: () => says(who, 'reserve'), undo: () => says(who, 'release') },
        charge: {
          retry: { maxAttempts: 5, initialInterval: 700, multiplier: 1, jitter: 'none' },
          run: () => {
            says(who, 'charge');
            if (who === 'first') throw new Error('no answer');
          },
        },
      });
    const first = await startSagaProcess(database.url, sagaOf('first'));
    const { sagaId } = await first.runtime.orchestrator.start('test', {});
    await until(() => calls.includes('first charge'));
    first.cutOff();
    const second = await startSagaProcess(database.url, sagaOf('second'));
    expect(await second.runtime.orchestrator.result(sagaId, { timeout: '30s' })).toMatchObject({
      status: 'completed',
    });
    await sleep(800);
    expect(calls).toEqual(['first reserve', 'first charge', 'second charge']);
  });

  it('tell when they are declared dead, and how many sagas they let go; these go on', async () => {
    const fenced: unknown[] = [];
    const unsubscribe = SagazTelemetry.subscribe('worker.fenced', ({ sagas, message }) =>
      fenced.push({ sagas, message }),
    );
    const gate = new Deferred<void>();
    const run = () => {
      calls.push('charge');
      return gate.promise;
    };
    const { runtime } = await startSagaProcess(database.url, testSaga({ charge: { run } }));
    const { sagaId } = await runtime.orchestrator.start('test', {});
    await until(() => calls.length === 1);
    await database.dataSource.query('UPDATE saga_worker SET dead = true');
    await until(() => fenced.length > 0);
    unsubscribe();
    gate.resolve();
    expect(fenced).toEqual([
      { sagas: 1, message: 'this process was declared dead: it was not heard of for its lease' },
    ]);
    const ended = await runtime.orchestrator.result(sagaId, { timeout: '30s' });
    expect(ended).toMatchObject({ status: 'completed' });
  });

  it('continue the sagas of one that had the same name before it crashed', async () => {
    const saga = testSaga({ work: { run: () => says('pod', 'work') } });
    const named = { worker: { id: 'pod-0', lease: '500ms' } } as const;
    const before = await startSagaProcess(
      database.url,
      testSaga({ work: { run: () => new Promise(() => undefined) } }),
      named,
    );
    const { sagaId } = await before.runtime.orchestrator.start('test', {});
    before.cutOff();
    const after = await startSagaProcess(database.url, saga, named);
    expect(await after.runtime.orchestrator.result(sagaId, { timeout: '30s' })).toMatchObject({
      status: 'completed',
    });
    expect(calls).toEqual(['pod work']);
  });

  it('run a saga whose creation was stored though its reply was lost', async () => {
    const saga = testSaga({ work: { run: () => says('only', 'work') } });
    const { runtime } = await startSagaProcess(database.url, saga);
    const { sagas } = runtime.persistence;
    const create = sagas.create.bind(sagas);
    let lost = false;
    sagas.create = async (...args) => {
      const created = await create(...args);
      if (lost) return created;
      lost = true;
      throw new Error('Connection terminated unexpectedly');
    };
    const options = { idempotencyKey: 'order-1' };
    await expect(runtime.orchestrator.start('test', {}, options)).rejects.toThrow('Connection terminated');
    const result = await runtime.orchestrator.execute('test', {}, { ...options, timeout: '30s' });
    expect(result.status).toBe('completed');
    expect(calls).toEqual(['only work']);
  });

  it('run a step once more at most after a write whose reply was lost, and never count two of its effects', async () => {
    await database.dataSource.query('CREATE TABLE account AS SELECT 100 AS balance');
    const saga = testSaga({
      quick: { dependsOn: [], run: () => sleep(20) },
      debit: {
        dependsOn: [],
        transactional: true,
        run: async ({ manager }) => {
          await manager.query('UPDATE account SET balance = balance - 10');
          await sleep(40);
        },
      },
    });
    const { runtime } = await startSagaProcess(database.url, saga);
    const { sagas } = runtime.persistence;
    const append = sagas.append.bind(sagas);
    let lost = false;
    sagas.append = async (write) => {
      const appended = await append(write);
      if (lost) return appended;
      lost = true;
      // Long enough for the transactional sibling to come to its commit.
      await sleep(60);
      throw new Error('Connection terminated unexpectedly');
    };
    expect(await runtime.orchestrator.execute('test', {}, { timeout: '30s' })).toMatchObject({
      status: 'completed',
    });
    expect(await database.dataSource.query('SELECT balance FROM account')).toEqual([{ balance: 90 }]);
  });

  it('hand over at a clean stop: what was launched and not begun is no attempt', async () => {
    const gate = new Promise((resolve) => setTimeout(resolve, 100));
    const sagaOf = (who: string) =>
      testSaga({
        first: { run: () => (who === 'one' ? gate : undefined), undo: () => says(who, 'undo first') },
        second: { retry: false, run: () => says(who, 'second') },
      });
    const one = await startSagaProcess(database.url, sagaOf('one'), patient);
    const { sagaId } = await one.runtime.orchestrator.start('test', {});
    await one.stop();
    const two = await startSagaProcess(database.url, sagaOf('two'), patient);
    const startedAt = performance.now();
    expect(await two.runtime.orchestrator.result(sagaId, { timeout: '30s' })).toMatchObject({
      status: 'completed',
    });
    expect(performance.now() - startedAt).toBeLessThan(8_000);
    expect(calls).toEqual(['two second']);
  });
});
