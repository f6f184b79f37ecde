import { DataSource } from 'typeorm';
import { InMemoryBroker } from '../../lib/brokers/memory/in-memory-broker.js';
import type { SagazModuleOptions } from '../../lib/options/sagaz-module-options.js';
import { Deferred } from '../../lib/runtime/deferred.js';
import { describeWith } from '../support/requirement.js';
import { startSagaProcess, stopSagaProcesses } from '../support/saga-process.js';
import { applicationDatabase, type ApplicationDatabase } from '../support/test-data-source.js';
import { until } from '../support/until.js';

/** So slow that nothing is relayed in time by looking. */
const NO_LOOKS = { pollInterval: '1m', maxPollInterval: '1m' } as const;

describeWith('postgres', 'a relay is told of new events', () => {
  let database: ApplicationDatabase;

  beforeAll(async () => {
    database = await applicationDatabase();
  });
  afterEach(stopSagaProcesses);
  afterAll(() => database.close());

  /** A process that relays, and the ids it was given. */
  async function relay(options: SagazModuleOptions = {}) {
    const broker = new InMemoryBroker();
    const heard: string[] = [];
    broker.subscribe(({ eventId }) => Promise.resolve(void heard.push(eventId)));
    const process = await startSagaProcess(database.url, [], { broker, outbox: NO_LOOKS, ...options });
    return { heard, ...process };
  }
  const listening = async () =>
    (
      await database.dataSource.query<unknown[]>(
        `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN sagaz_outbox_%'`,
      )
    ).length;

  it('by another process that relays nothing, when its transaction has committed and not before', async () => {
    const { heard } = await relay();
    await until(async () => (await listening()) === 1);
    const writer = await startSagaProcess(database.url, [], { worker: false });
    const [written, go] = [new Deferred<void>(), new Deferred<void>()];
    const work = writer.application.transaction(async (manager) => {
      const [id] = await writer.runtime.outbox.publish(manager, { type: 'a', key: 'k' });
      written.resolve();
      await go.promise;
      return id;
    });
    await written.promise;
    expect(heard).toEqual([]);
    go.resolve();
    const id = await work;
    await until(() => heard.length === 1);
    expect(heard).toEqual([id]);
  });

  it('in its own process, by a query runner as well as by a transaction', async () => {
    const { heard, application, runtime } = await relay({ outbox: { ...NO_LOOKS, notify: false } });
    const runner = application.createQueryRunner();
    await runner.startTransaction();
    await runtime.outbox.publish(runner.manager, { type: 'a' });
    await runner.commitTransaction();
    await runner.release();
    await until(() => heard.length === 1);
    await runtime.outbox.transaction(() => runtime.outbox.publish({ type: 'b' }));
    await until(() => heard.length === 2);
  });

  it('with few signals, however many transactions commit', async () => {
    const { heard } = await relay();
    await until(async () => (await listening()) === 1);
    const writer = await startSagaProcess(database.url, [], { worker: false });
    const ear = await new DataSource({ type: 'postgres', url: database.url }).initialize();
    const runner = ear.createQueryRunner();
    const client = (await runner.connect()) as NodeJS.EventEmitter;
    const channels = await database.dataSource.query<{ query: string }[]>(
      `SELECT query FROM pg_stat_activity WHERE query LIKE 'LISTEN sagaz_outbox_%' AND datname = current_database()`,
    );
    let signals = 0;
    client.on('notification', () => void signals++);
    await runner.query(channels[0]?.query ?? '');
    const began = performance.now();
    await Promise.all(
      Array.from({ length: 200 }, () =>
        writer.application.transaction((manager) => writer.runtime.outbox.publish(manager, { type: 'a' })),
      ),
    );
    await until(() => heard.length === 200);
    expect(signals).toBeGreaterThan(0);
    expect(signals).toBeLessThanOrEqual(2 + (performance.now() - began) / 20);
    await runner.release();
    await ear.destroy();
  });

  it('again after its connection was cut', async () => {
    const { heard } = await relay();
    await until(async () => (await listening()) === 1);
    await database.dataSource.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN sagaz_outbox_%' AND datname = current_database()`,
    );
    await until(async () => (await listening()) === 1);
    const writer = await startSagaProcess(database.url, [], { worker: false });
    await writer.application.transaction((manager) => writer.runtime.outbox.publish(manager, { type: 'a' }));
    await until(() => heard.length === 1);
  });
});
