import { setTimeout as sleep } from 'node:timers/promises';
import { SagaAdmin } from '../../lib/admin/saga-admin.js';
import type { SagaMoment } from '../../lib/admin/saga-moment.js';
import { FencedError, IllegalTransitionError, SagaNotCancellableError } from '../../lib/index.js';
import { SagaRegistry } from '../../lib/saga/definition/saga-registry.js';
import { isEnded } from '../../lib/saga/state/saga-status.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { describeWith } from '../support/requirement.js';
import { startSagaProcess, stopSagaProcesses, testSaga, type SagaProcess } from '../support/saga-process.js';
import { until } from '../support/until.js';

const SAGAS = 60;

/** What happened in the world, in order, by saga. */
class Ledger {
  private readonly lines = new Map<string, string[]>();

  note(sagaId: string, line: string): void {
    this.lines.set(sagaId, [...this.of(sagaId), line]);
  }

  of(sagaId: string): readonly string[] {
    return this.lines.get(sagaId) ?? [];
  }
}

/** Some of its steps and undos fail now and then, until the world is mended. */
function shakySaga(ledger: Ledger, world: { mended: boolean }) {
  const chance = (share: number) => !world.mended && Math.random() < share;
  const step = (name: string, share: number) => ({
    // As a good client does: what is aborted has no effect any more.
    run: async ({ sagaId, signal }: { sagaId: string; signal: AbortSignal }) => {
      await sleep(Math.random() * 120, undefined, { signal });
      ledger.note(sagaId, name);
      if (chance(share)) throw new Error(`${name} failed`);
    },
    undo: async ({ sagaId }: { sagaId: string }) => {
      await sleep(Math.random() * 10);
      if (chance(0.5)) throw new Error(`undo of ${name} failed`);
      ledger.note(sagaId, `undo ${name}`);
    },
  });
  return testSaga(
    { a: step('a', 0.1), b: step('b', 0.2), c: step('c', 0.3), d: step('d', 0.2) },
    {
      ...{
        retry: { maxAttempts: 2, initialInterval: 5 },
        compensationRetry: { maxAttempts: 2, initialInterval: 5 },
      },
      ...{ stepTimeout: 400, settleGrace: 20 },
    },
  );
}

/** Does something to a saga, whatever its state allows. */
async function meddle(admin: SagaAdmin, sagaId: string): Promise<boolean> {
  const steps = ['a', 'b', 'c', 'd'];
  const step = steps[Math.floor(Math.random() * steps.length)] ?? 'a';
  const actions = [
    () => admin.retry(sagaId),
    () => admin.skip(sagaId, step),
    () => admin.compensate(sagaId),
    () => admin.cancel(sagaId),
    () => admin.resume(sagaId),
  ];
  const chosen = Math.floor(Math.random() * actions.length);
  try {
    await actions[chosen]?.();
    // A cancel that was asked for before changes nothing, and is not noted.
    return chosen !== 3;
  } catch (error) {
    if (error instanceof IllegalTransitionError || error instanceof SagaNotCancellableError) return false;
    throw error;
  }
}

function happened(timeline: readonly SagaMoment[] = []): string {
  return timeline.map(({ what, step = '', epoch }) => `${what} ${step} (${epoch})`).join(', ');
}

/** What an operator's tool does: it runs nothing, and nobody in its process has the saga. */
function toolOf({ runtime }: SagaProcess): SagaAdmin {
  const { sagas: storage, interventions } = runtime.persistence;
  const settings = { storage, interventions, registry: new SagaRegistry() };
  return new SagaAdmin({ ...settings, taken: () => undefined, cancelled: () => Promise.resolve() });
}

describeWith('postgres', 'operators beside workers', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createDatabase();
  });
  afterEach(() => stopSagaProcesses());
  afterAll(() => database.drop());

  it('turn a saga back whose living owner tries again every 300 ms: no attempt begins after it, and nothing stands', async () => {
    const lines: string[] = [];
    let balance = 0;
    const retry = { maxAttempts: 50, initialInterval: 300, maxInterval: 300, jitter: 'none' } as const;
    const saga = testSaga(
      {
        charge: {
          ...{ timeout: 500, retry },
          run: async ({ signal }) => {
            lines.push('charge');
            await sleep(100, undefined, { signal });
            balance += 1;
            throw new Error('502 from the bank');
          },
          undo: () => {
            lines.push('undo');
            balance = 0;
          },
        },
      },
      { settleGrace: 20 },
    );
    const lease = { worker: { lease: '1s' } } as const;
    const owner = await startSagaProcess(database.url, saga, lease);
    const { sagaId } = await owner.runtime.orchestrator.start(saga, {});
    await until(() => Promise.resolve(lines.length === 2));
    // In the pause after the second attempt.
    await until(() => Promise.resolve(balance === 2));
    await toolOf(owner).compensate(sagaId, { actor: 'ada' });
    const other = await startSagaProcess(database.url, saga, lease);
    await until(async () => (await other.runtime.orchestrator.get(sagaId))?.status === 'compensated');
    expect([lines, balance]).toEqual([['charge', 'charge', 'undo'], 0]);
  });

  it('take a saga whose living owner is in the midst of a handler: it is aborted within a second or so', async () => {
    let aborted: unknown;
    const saga = testSaga({
      reserve: {
        timeout: 30_000,
        run: ({ signal }) =>
          new Promise((_, reject) => {
            signal.addEventListener('abort', () => {
              aborted = signal.reason;
              reject(new Error('aborted'));
            });
          }),
      },
    });
    const owner = await startSagaProcess(database.url, saga);
    const { sagaId } = await owner.runtime.orchestrator.start(saga, {});
    await toolOf(owner).skip(sagaId, 'reserve', { actor: 'ada' });
    await until(() => Promise.resolve(aborted !== undefined));
    expect(aborted).toBeInstanceOf(FencedError);
    await until(async () => (await owner.runtime.orchestrator.get(sagaId))?.status === 'completed');
  });

  it('may do what they like to sagas that two processes run: each ends, and nothing stands that should not', async () => {
    const ledger = new Ledger();
    const world = { mended: false };
    const saga = shakySaga(ledger, world);
    const processes: SagaProcess[] = [];
    for (let n = 0; n < 2; n++)
      processes.push(await startSagaProcess(database.url, saga, { worker: { lease: '1s' } }));
    const admins = processes.map(({ runtime }) => runtime.sagaAdmin);
    const ids: string[] = [];
    let changes = 0;
    let open = true;
    const operate = async (admin: SagaAdmin) => {
      while (open) {
        // The latest: most of them are under way.
        const sagaId = ids.at(-1 - Math.floor(Math.random() * 12));
        if (sagaId !== undefined && (await meddle(admin, sagaId))) changes += 1;
        await sleep(2);
      }
    };
    const operators = [...admins, ...admins].map(operate);
    for (let n = 0; n < SAGAS; n++) {
      const started = await processes[n % 2]?.runtime.orchestrator.start(saga, {});
      ids.push(started?.sagaId ?? '');
      await sleep(15);
    }
    open = false;
    await Promise.all(operators);
    world.mended = true;
    const [admin] = admins;
    const { orchestrator } = processes[0]?.runtime ?? {};
    await until(async () => {
      const statuses = await Promise.all(
        ids.map(async (id) => (await orchestrator?.get(id))?.status ?? 'pending'),
      );
      for (const [index, status] of statuses.entries())
        if (status === 'failed') await admin?.retry(ids[index] ?? '').catch(() => undefined);
      return statuses.every((status) => isEnded(status) && status !== 'failed');
    });
    expect(changes).toBeGreaterThan(20);
    const audits = await processes[0]?.application.query<{ n: number }[]>(
      'SELECT count(*)::int AS n FROM saga_audit',
    );
    expect(audits?.[0]?.n).toBeGreaterThanOrEqual(changes);
    for (const id of ids) {
      const { status, timeline } = (await admin?.history(id)) ?? {};
      expect(['completed', 'compensated']).toContain(status);
      const lines = ledger.of(id);
      const skipped =
        timeline?.filter(({ what }) => what.startsWith('step skipped')).map((it) => it.step ?? '') ?? [];
      for (const name of ['a', 'b', 'c', 'd']) {
        const [done, undone] = [lines.lastIndexOf(name), lines.lastIndexOf(`undo ${name}`)];
        const told = `${name} of ${status} ${id}: ${lines.join(', ')}; ${happened(timeline)}`;
        if (status === 'completed')
          expect([told, undone, done >= 0 || skipped.includes(name)]).toEqual([told, -1, true]);
        else expect([told, done < 0 || undone > done]).toEqual([told, true]);
      }
    }
  });
});
