import { DataSource } from 'typeorm';
import { InMemoryBroker } from '../../lib/brokers/memory/in-memory-broker.js';
import { ALL_MIGRATIONS } from '../../lib/persistence/typeorm/migrations/all-migrations.js';
import { Migrator } from '../../lib/persistence/typeorm/migrations/migrator.js';
import { typeOrmPersistence } from '../../lib/persistence/typeorm/typeorm-persistence.js';
import { describeWith } from '../support/requirement.js';
import { startSagaProcess, stopSagaProcesses, testSaga } from '../support/saga-process.js';
import { startPgBouncer, type PgBouncer } from '../support/services/pgbouncer.js';
import { applicationDatabase, type ApplicationDatabase } from '../support/test-data-source.js';
import { until } from '../support/until.js';

/** Fewer than what one process would open by itself. */
const SERVER_CONNECTIONS = 5;

describeWith('postgres', 'behind PgBouncer', () => {
  describeWith('pgbouncer', 'in transaction mode', () => {
    let database: ApplicationDatabase;
    let pooler: PgBouncer;

    beforeAll(async () => {
      database = await applicationDatabase();
      pooler = await startPgBouncer(database.url, SERVER_CONNECTIONS);
      await database.dataSource.query('CREATE TABLE effect (saga uuid, step text, PRIMARY KEY (saga, step))');
    });
    afterEach(stopSagaProcesses);
    afterAll(async () => {
      await pooler.stop();
      await database.close();
    });

    const rows = <T>(sql: string) => database.dataSource.query<T[]>(sql);

    it('migrates once when five processes start at once', async () => {
      const sources = await Promise.all(
        Array.from({ length: 5 }, () => new DataSource({ type: 'postgres', url: pooler.url }).initialize()),
      );
      await Promise.all(sources.map((source) => new Migrator(source, 'five').run()));
      const applied = await rows<{ version: number }>('SELECT version FROM five.saga_migration ORDER BY 1');
      expect(applied.map(({ version }) => version)).toEqual(ALL_MIGRATIONS.map(({ version }) => version));
      await Promise.all(sources.map((source) => source.destroy()));
    });

    it('knows that sessions are hidden, and says so', async () => {
      const lines: string[] = [];
      const { runtime } = await startSagaProcess(
        pooler.url,
        testSaga({ a: { readOnly: true, run: () => undefined } }),
        {},
        { log: { warn: (line) => void lines.push(typeof line === 'string' ? line : line.msg) } },
      );
      expect(runtime.describe()).toContain('takeover after the lease (500 ms)');
      expect(lines).toEqual([
        expect.stringMatching(
          /^a connection pooler hides the sessions of the database: .*\(500 ms\), .*session mode/,
        ),
      ]);
      const direct = typeOrmPersistence(database.dataSource, { schema: undefined, migrations: 'run' });
      await direct.open();
      expect(direct.workers.sight).toBe('session locks');
      await direct.close();
    });

    it('runs sagas of all kinds, and leaves no setting on the connections of others', async () => {
      const saga = testSaga(
        {
          hold: {
            transactional: true,
            run: async (ctx) => {
              await ctx.manager.query('INSERT INTO effect VALUES ($1, $2)', [ctx.sagaId, ctx.step]);
              await ctx.publish({ type: 'held' });
            },
            undo: (ctx) =>
              ctx.manager.query('DELETE FROM effect WHERE saga = $1 AND step = $2', [ctx.sagaId, ctx.step]),
          },
          left: { readOnly: true, dependsOn: ['hold'], run: () => 'left' },
          wait: {
            readOnly: true,
            dependsOn: ['hold'],
            waitFor: 'go',
            waitTimeout: '1m',
            run: (ctx) => ctx.signalPayload,
          },
          last: {
            transactional: true,
            readOnly: true,
            dependsOn: ['left', 'wait'],
            run: ({ input }) => {
              if (input['fails']) throw new Error('refused');
            },
          },
        },
        { retry: 1 },
      );
      const heard: string[] = [];
      const broker = new InMemoryBroker();
      broker.subscribe(({ eventId }) => Promise.resolve(void heard.push(eventId)));
      const { runtime } = await startSagaProcess(pooler.url, saga, { worker: { lease: '5s' }, broker });
      const { orchestrator } = runtime;
      const started = await Promise.all(
        Array.from({ length: 60 }, async (_, n) => {
          const handle = await orchestrator.start(
            'test',
            { fails: n % 3 === 0 },
            { idempotencyKey: `key ${n}` },
          );
          await orchestrator.signal(handle.sagaId, 'go', n);
          return handle;
        }),
      );
      const again = await orchestrator.start('test', { fails: false }, { idempotencyKey: 'key 1' });
      expect(again.sagaId).toBe(started[1]?.sagaId);
      const ended = await Promise.all(started.map(({ result }) => result({ timeout: '60s' })));
      expect(ended.map(({ status }) => status)).toEqual(
        started.map((_, n) => (n % 3 === 0 ? 'compensated' : 'completed')),
      );
      expect((await rows('SELECT 1 FROM effect')).length).toBe(40);
      await until(async () => (await rows('SELECT 1 FROM saga_outbox')).length === 0);
      expect(new Set(heard).size).toBe(60);
      const settings = await Promise.all(
        Array.from({ length: 4 * SERVER_CONNECTIONS }, () => throughPooler('SHOW enable_seqscan')),
      );
      expect(new Set(settings.map((row) => JSON.stringify(row)))).toEqual(
        new Set(['{"enable_seqscan":"on"}']),
      );
    });

    it('takes over the sagas of a process that is cut off, when its lease has run out', async () => {
      const begun: string[] = [];
      let free = false;
      const saga = testSaga({
        step: {
          readOnly: true,
          timeout: '1s',
          run: async ({ attempt }) => {
            begun.push(String(attempt));
            await until(() => free);
          },
        },
      });
      const first = await startSagaProcess(pooler.url, saga);
      const { sagaId } = await first.runtime.orchestrator.start('test', {});
      await until(() => begun.length === 1);
      first.cutOff();
      const second = await startSagaProcess(pooler.url, saga);
      await until(() => begun.length === 2);
      free = true;
      expect(await second.runtime.orchestrator.result(sagaId, { timeout: '20s' })).toMatchObject({
        status: 'completed',
      });
      const [row] = await rows<{ epoch: string }>(`SELECT epoch FROM saga_instance WHERE id = '${sagaId}'`);
      expect(Number(row?.epoch)).toBeGreaterThan(1);
    });

    async function throughPooler(sql: string): Promise<unknown> {
      const source = await new DataSource({ type: 'postgres', url: pooler.url }).initialize();
      try {
        return (await source.query<unknown[]>(sql))[0];
      } finally {
        await source.destroy();
      }
    }
  });
});
