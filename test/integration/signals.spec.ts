import { setTimeout as sleep } from 'node:timers/promises';
import { SagazTelemetry } from '../../lib/runtime/telemetry.js';
import { describeWith } from '../support/requirement.js';
import { startSagaProcess, stopSagaProcesses, testSaga } from '../support/saga-process.js';
import { applicationDatabase, type ApplicationDatabase } from '../support/test-data-source.js';
import { until } from '../support/until.js';

describeWith('postgres', 'signals', () => {
  let database: ApplicationDatabase;

  beforeAll(async () => {
    database = await applicationDatabase();
  });
  afterEach(stopSagaProcesses);
  afterAll(() => database.close());

  const rows = <T>(sql: string) => database.dataSource.query<T[]>(sql);

  it('are never lost against 1,000 sagas that park at any moment, and each counts once', async () => {
    const SAGAS = 1_000;
    const seen = new Map<string, unknown[]>();
    const saga = testSaga({
      hold: { readOnly: true, run: () => undefined },
      approve: {
        ...{ readOnly: true, waitFor: 'approved', waitTimeout: '10m' },
        run: ({ sagaId, signalPayload }) => {
          seen.set(sagaId, [...(seen.get(sagaId) ?? []), signalPayload]);
        },
      },
    });
    const one = await startSagaProcess(database.url, saga, { worker: { lease: '5s' } });
    const two = await startSagaProcess(database.url, saga, { worker: { lease: '5s' } });
    const parking = new Map<string, () => void>();
    const stop = SagazTelemetry.subscribe('step.completed', ({ sagaId }) => parking.get(sagaId)?.());
    const starts = Array.from({ length: SAGAS }, async (_, n) => {
      const { sagaId } = await one.runtime.orchestrator.start('test', { n });
      const sender = n % 2 === 0 ? one : two;
      const held = new Promise<void>((resolve) => parking.set(sagaId, resolve));
      // From the moment in which the saga exists to long after it has parked, or just when it parks.
      if (n % 4 < 2) await sleep(Math.random() * 400);
      else await Promise.race([held, sleep(400)]).then(() => sleep(Math.random() * 12));
      const send = () => sender.runtime.orchestrator.signal(sagaId, 'approved', n, { id: `of ${n}` });
      const receipts = await Promise.all([send(), send()]);
      return { sagaId, n, fresh: receipts.filter(({ duplicate }) => !duplicate).length };
    });
    const sent = await Promise.all(starts);
    stop();
    const ended = await Promise.all(
      sent.map(({ sagaId }) => one.runtime.orchestrator.result(sagaId, { timeout: '60s' })),
    );
    expect(new Set(ended.map(({ status }) => status))).toEqual(new Set(['completed']));
    expect(sent.filter(({ fresh }) => fresh !== 1)).toEqual([]);
    expect(sent.filter(({ sagaId, n }) => seen.get(sagaId)?.join() !== String(n))).toEqual([]);
    const [counts] = await rows<{ signals: string; consumed: string }>(
      `SELECT (SELECT count(*) FROM saga_signal) AS signals,
        (SELECT count(*) FROM saga_journal WHERE kind = 'signal_received') AS consumed`,
    );
    expect(counts).toEqual({ signals: String(SAGAS), consumed: String(SAGAS) });
  });

  it('find a saga of which no process has anything in memory', async () => {
    const saga = testSaga({
      approve: {
        readOnly: true,
        waitFor: 'approved',
        waitTimeout: '10m',
        run: ({ signalPayload }) => signalPayload,
      },
    });
    const first = await startSagaProcess(database.url, saga);
    const { sagaId } = await first.runtime.orchestrator.start('test', {});
    const status = async () => (await first.runtime.orchestrator.get(sagaId)).status;
    await until(async () => (await status()) === 'waiting');
    const [row] = await rows<{ owner: string | null; wakes: boolean }>(
      `SELECT owner, wake_at > clock_timestamp() + interval '9 minutes' AS wakes FROM saga_instance WHERE id = '${sagaId}'`,
    );
    expect(row).toEqual({ owner: null, wakes: true });
    await first.stop();
    const second = await startSagaProcess(database.url, saga);
    await second.runtime.orchestrator.signal(sagaId, 'approved', { by: 'Ada' });
    expect(await second.runtime.orchestrator.result(sagaId, { timeout: '20s' })).toMatchObject({
      status: 'completed',
      results: { approve: { by: 'Ada' } },
    });
  });

  it('are not needed by a wait that has run out while no process was there', async () => {
    const saga = testSaga({
      approve: { readOnly: true, waitFor: 'approved', waitTimeout: '4s', run: () => undefined },
    });
    const first = await startSagaProcess(database.url, saga);
    const { sagaId } = await first.runtime.orchestrator.start('test', {});
    await until(async () => (await first.runtime.orchestrator.get(sagaId)).status === 'waiting');
    await first.stop();
    const second = await startSagaProcess(database.url, saga);
    expect(await second.runtime.orchestrator.result(sagaId, { timeout: '20s' })).toMatchObject({
      status: 'compensated',
      error: { code: 'SAGAZ_WAIT_TIMEOUT', step: 'approve' },
    });
  });
});
