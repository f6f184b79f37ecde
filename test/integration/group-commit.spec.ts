import pg from 'pg';
import { SagazTelemetry } from '../../lib/runtime/telemetry.js';
import { uuidV7 } from '../../lib/events/uuid-v7.js';
import type { SagaStorage, SagaWrite } from '../../lib/saga/saga-storage.js';
import { claimOf, entry, newSaga, unique, writeOf } from '../conformance/saga-storage.contract.js';
import { describeWith } from '../support/requirement.js';
import { startSagaProcess, stopSagaProcesses, testSaga } from '../support/saga-process.js';
import { applicationDatabase, type ApplicationDatabase } from '../support/test-data-source.js';

describeWith('postgres', 'group commit', () => {
  let database: ApplicationDatabase;
  let sagas: SagaStorage;

  beforeAll(async () => {
    database = await applicationDatabase();
    const idle = testSaga({ nothing: { run: () => undefined } });
    const { runtime } = await startSagaProcess(database.url, idle, { worker: false });
    sagas = runtime.persistence.sagas;
  });
  afterAll(async () => {
    await stopSagaProcesses();
    await database.close();
  });

  const owned = async () => {
    const saga = newSaga({ owner: unique('w'), launch: ['a'] });
    await sagas.create(saga);
    return saga;
  };
  const kinds = async (sagaId: string) => (await sagas.journal(sagaId)).map(({ kind }) => kind);

  it('stores what many sagas write in few statements', async () => {
    const all = await Promise.all(Array.from({ length: 300 }, owned));
    const flushes: number[] = [];
    const stop = SagazTelemetry.subscribe('journal.flushed', ({ entries }) => void flushes.push(entries));
    await Promise.all(all.map((saga) => sagas.append(writeOf(saga, 1))));
    stop();
    expect(flushes.reduce((sum, entries) => sum + entries, 0)).toBe(300);
    expect(flushes.length).toBeLessThan(5);
    expect(await kinds(all[299]?.sagaId ?? '')).toEqual(['step_completed']);
  });

  it('stores the writes of others while the row of one saga is locked, and that one afterwards', async () => {
    const [locked, ...others] = await Promise.all(Array.from({ length: 200 }, owned));
    const blocker = await lock(locked?.sagaId ?? '');
    let stored = false;
    const late = sagas.append(writeOf(locked as never, 1)).then(() => {
      stored = true;
    });
    await Promise.all(others.map((saga) => sagas.append(writeOf(saga, 1))));
    expect(stored).toBe(false);
    await blocker.release();
    await late;
    expect(await kinds(locked?.sagaId ?? '')).toEqual(['step_completed']);
  });

  it('refuses the write that the database cannot store, and no other of its flush', async () => {
    const all = await Promise.all(Array.from({ length: 50 }, owned));
    const writes: SagaWrite[] = all.map((saga, index) =>
      writeOf(saga, 1, index === 17 ? { entries: [entry(1, 1, { attempt: 2 ** 40 })] } : {}),
    );
    const results = await Promise.allSettled(writes.map((write) => sagas.append(write)));
    expect(results.flatMap(({ status }, index) => (status === 'rejected' ? [index] : []))).toEqual([17]);
    expect(await kinds(all[16]?.sagaId ?? '')).toEqual(['step_completed']);
    expect(await kinds(all[17]?.sagaId ?? '')).toEqual([]);
  });

  it('fences one write of a flush and stores the others', async () => {
    const all = await Promise.all(Array.from({ length: 20 }, owned));
    const results = await Promise.allSettled(
      all.map((saga, index) => sagas.append(writeOf(saga, index === 3 ? 7 : 1))),
    );
    expect(results.flatMap(({ status }, index) => (status === 'rejected' ? [index] : []))).toEqual([3]);
    expect(results[3]).toMatchObject({ reason: { code: 'SAGAZ_FENCED' } });
  });

  it('refuses an entry under the old epoch though the same process has the saga again, in one flush with the new', async () => {
    const saga = await owned();
    const claim = claimOf(saga, saga.owner ?? '', { held: [], lost: [saga.sagaId] });
    expect((await sagas.claim(claim))[0]?.epoch).toBe(2);
    const results = await Promise.allSettled([
      sagas.append(writeOf(saga, 1, { entries: [entry(1, 1, { step: 'old' })] })),
      sagas.append(writeOf(saga, 2, { entries: [entry(1, 2, { step: 'new' })] })),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
    expect((await sagas.journal(saga.sagaId)).map(({ step }) => step)).toEqual(['new']);
  });

  it('goes on when its connection is cut in the middle, and stores everything once', async () => {
    const all = await Promise.all(Array.from({ length: 100 }, owned));
    const cut = async () => {
      await query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'nestjs-sagaz'`,
      );
    };
    const writes = all.map((saga) => sagas.append(writeOf(saga, 1)));
    await cut();
    await Promise.all([
      ...writes,
      ...all.map((saga) => sagas.append(writeOf(saga, 1, { entries: [entry(2, 1)] }))),
    ]);
    const journals = await Promise.all(all.map(({ sagaId }) => sagas.journal(sagaId)));
    expect(new Set(journals.map((journal) => journal.map(({ seq }) => seq).join()))).toEqual(
      new Set(['1,2']),
    );
  });

  it('starts sagas with other keys while an open transaction holds one key, and then answers for that one', async () => {
    const held = newSaga({ idempotencyKey: 'held' });
    const runner = database.dataSource.createQueryRunner();
    await runner.startTransaction();
    await sagas.create(held, runner.manager);
    const waiting = sagas.create({ ...held, sagaId: uuidV7() });
    const free = Array.from({ length: 20 }, (_, n) =>
      newSaga({ name: held.name, idempotencyKey: `free ${n}` }),
    );
    const created = await Promise.all(free.map((saga) => sagas.create(saga)));
    expect(new Set(created.map(({ outcome }) => outcome))).toEqual(new Set(['created']));
    await runner.commitTransaction();
    await runner.release();
    await expect(waiting).resolves.toEqual({ outcome: 'existing', sagaId: held.sagaId });
  });

  it('starts one saga for fifty calls with one key at once, from two processes', async () => {
    const saga = testSaga({ work: { run: () => 'done' } });
    const one = await startSagaProcess(database.url, saga);
    const other = await startSagaProcess(database.url, saga);
    const starts = Array.from({ length: 50 }, (_, n) =>
      (n % 2 === 0 ? one : other).runtime.orchestrator.execute(
        'test',
        { order: 1 },
        { idempotencyKey: 'order-1' },
      ),
    );
    const results = await Promise.all(starts);
    expect(new Set(results.map(({ sagaId }) => sagaId)).size).toBe(1);
    expect(new Set(results.map(({ status }) => status))).toEqual(new Set(['completed']));
    await expect(
      one.runtime.orchestrator.start('test', { order: 2 }, { idempotencyKey: 'order-1' }),
    ).rejects.toMatchObject({ code: 'SAGAZ_CONFLICT' });
  });

  it('knows a key when its saga has been deleted: nothing runs again, and another input is a conflict', async () => {
    let runs = 0;
    const saga = testSaga({ work: { run: () => void (runs += 1) } });
    const { runtime } = await startSagaProcess(database.url, saga);
    const first = await runtime.orchestrator.execute('test', { a: 1 }, { idempotencyKey: 'old' });
    for (const table of ['saga_instance', 'saga_payload', 'saga_journal'])
      await query(
        `DELETE FROM ${table} WHERE ${table === 'saga_instance' ? 'id' : 'saga_id'} = '${first.sagaId}'`,
      );
    const again = await runtime.orchestrator.start('test', { a: 1 }, { idempotencyKey: 'old' });
    expect(again.sagaId).toBe(first.sagaId);
    await expect(again.result()).rejects.toMatchObject({ code: 'SAGAZ_NOT_FOUND' });
    await expect(
      runtime.orchestrator.start('test', { a: 2 }, { idempotencyKey: 'old' }),
    ).rejects.toMatchObject({
      code: 'SAGAZ_CONFLICT',
    });
    expect(runs).toBe(1);
  });

  it('begins a saga of a committed transaction at once, in the process that committed it', async () => {
    const saga = testSaga({ work: { run: () => 'done' } });
    const { runtime, application } = await startSagaProcess(database.url, saga);
    const startedAt = performance.now();
    for (let count = 0; count < 5; count++) {
      const { sagaId } = await application.transaction((manager) =>
        runtime.orchestrator.start('test', {}, { manager }),
      );
      await runtime.orchestrator.result(sagaId);
    }
    // Each would wait for the next look otherwise, a second after the last one.
    expect(performance.now() - startedAt).toBeLessThan(2_500);
    await expect(
      application.transaction(async (manager) => {
        await runtime.orchestrator.start('test', { rolled: 'back' }, { manager, idempotencyKey: 'never' });
        throw new Error('rolled back');
      }),
    ).rejects.toThrow('rolled back');
    expect(await query(`SELECT 1 FROM saga_key WHERE key = 'never'`)).toEqual([]);
  });

  it('leaves connections of the pool to the application when many transactional steps run', async () => {
    const step = {
      transactional: true,
      run: ({ manager }: { manager: { query(text: string): unknown } }) =>
        manager.query('SELECT pg_sleep(0.05)'),
    };
    const saga = testSaga({ work: step });
    const { runtime, application } = await startSagaProcess(database.url, saga);
    const all = Promise.all(Array.from({ length: 60 }, () => runtime.orchestrator.execute('test', {})));
    let over = false;
    void all.then(() => (over = true));
    const { master } = application.driver as unknown as { master: { waitingCount: number } };
    while (!over) {
      await application.query('SELECT 1');
      expect(master.waitingCount).toBe(0);
    }
    expect(new Set((await all).map(({ status }) => status))).toEqual(new Set(['completed']));
  });

  async function query<T>(sql: string): Promise<T[]> {
    return database.dataSource.query(sql);
  }

  async function lock(sagaId: string) {
    const client = new pg.Client(database.url);
    await client.connect();
    await client.query('BEGIN');
    await client.query('SELECT 1 FROM saga_instance WHERE id = $1 FOR UPDATE', [sagaId]);
    return {
      release: async () => {
        await client.query('ROLLBACK');
        await client.end();
      },
    };
  }
});
