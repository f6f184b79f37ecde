import { Deferred } from '../../lib/runtime/deferred.js';
import { describeWith } from '../support/requirement.js';
import { startSagaProcess, stopSagaProcesses, testSaga } from '../support/saga-process.js';
import { applicationDatabase, type ApplicationDatabase } from '../support/test-data-source.js';

describeWith('postgres', 'a saga that is cancelled', () => {
  let database: ApplicationDatabase;

  beforeAll(async () => {
    database = await applicationDatabase();
    await database.dataSource.query('CREATE TABLE booking (step text PRIMARY KEY)');
  });
  afterEach(stopSagaProcesses);
  afterAll(() => database.close());

  it('turns back in the process that runs it, when another process asks for it', async () => {
    const begun = new Deferred<void>();
    const undone: string[] = [];
    const saga = testSaga({
      hotel: {
        run: ({ signal }) =>
          new Promise((_, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason as Error));
            begun.resolve();
          }),
        undo: ({ step }) => void undone.push(step),
      },
    });
    const one = await startSagaProcess(database.url, saga);
    const two = await startSagaProcess(database.url, saga);
    const { sagaId, result } = await one.runtime.orchestrator.start('test', {});
    await begun.promise;
    await two.runtime.orchestrator.cancel(sagaId);
    expect(await result({ timeout: '20s' })).toMatchObject({
      status: 'compensated',
      error: { code: 'SAGAZ_CANCELLED' },
    });
    expect(undone).toEqual(['hotel']);
  });

  it('commits what a transactional step had done, undoes it, and never calls the pivot', async () => {
    const [begun, go] = [new Deferred<void>(), new Deferred<void>()];
    const called: string[] = [];
    const saga = testSaga({
      hotel: {
        transactional: true,
        run: async ({ manager, step }) => {
          await manager.query('INSERT INTO booking VALUES ($1)', [step]);
          begun.resolve();
          await go.promise;
        },
        undo: async ({ manager, step, outcome }) => {
          called.push(`undo ${outcome}`);
          await manager.query('DELETE FROM booking WHERE step = $1', [step]);
        },
      },
      pay: { pivot: true, run: () => called.push('pay') },
    });
    const { runtime } = await startSagaProcess(database.url, saga);
    const { sagaId, result } = await runtime.orchestrator.start('test', {});
    await begun.promise;
    // Of the database only: what runs hears of it when its write that would launch the pivot is refused.
    expect(await runtime.persistence.sagas.requestCancel(sagaId)).toBe('requested');
    go.resolve();
    expect(await result({ timeout: '20s' })).toMatchObject({
      status: 'compensated',
      error: { code: 'SAGAZ_CANCELLED' },
    });
    expect(called).toEqual(['undo completed']);
    expect(await database.dataSource.query('SELECT * FROM booking')).toEqual([]);
  });
});
