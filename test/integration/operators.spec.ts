import { setTimeout as sleep } from 'node:timers/promises';
import { SagaAdmin, type SagaHistory } from '../../lib/admin/saga-admin.js';
import type { SagaMoment } from '../../lib/admin/saga-moment.js';
import {
  FencedError,
  IllegalTransitionError,
  NoEffectError,
  NonRetryableError,
  SagaInputError,
  SagaNotCancellableError,
} from '../../lib/index.js';
import { SagaRegistry } from '../../lib/saga/definition/saga-registry.js';
import { isEnded, type SagaStatus } from '../../lib/saga/state/saga-status.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { describeWith } from '../support/requirement.js';
import { startSagaProcess, stopSagaProcesses, testSaga, type SagaProcess } from '../support/saga-process.js';
import { until } from '../support/until.js';

const SAGAS = 80;
const MOST_SAGAS = 400;

/** What happened in the world, in order, by saga. */
class Ledger {
  private readonly lines = new Map<string, string[]>();

  note(sagaId: string, line: string): void {
    this.lines.set(sagaId, [...this.of(sagaId), line]);
  }

  of(sagaId: string): readonly string[] {
    return this.lines.get(sagaId) ?? [];
  }

  /** A step had its effect, and nobody has undone it since. */
  stands(sagaId: string, step: string): boolean {
    const lines = this.of(sagaId);
    const undone = Math.max(lines.lastIndexOf(`undo ${step}`), lines.lastIndexOf(`by hand ${step}`));
    return lines.lastIndexOf(step) > undone;
  }
}

const BEFORE = ['charge', 'stock'];
const PIVOT = 'ship';
const BEHIND = ['label', 'mail', 'thank'];
const STEPS = [...BEFORE, PIVOT, ...BEHIND];
const STEP_TIMEOUT_MS = 400;

/** What breaks until it is mended. */
interface World {
  mended: boolean;
}

/**
 * Some of its steps and undos fail now and then, until the world is mended. Before its pivot and behind it two steps run beside
 * each other; one behind it that refuses to be repeated parks the saga.
 */
function shakySaga(ledger: Ledger, world: World) {
  const chance = (share: number) => !world.mended && Math.random() < share;
  const run = (name: string, failure: () => Error) => ({
    // As a good client does: what is aborted has no effect any more.
    run: async ({ sagaId, signal }: { sagaId: string; signal: AbortSignal }) => {
      await sleep(Math.random() * 120, undefined, { signal });
      if (chance(0.1)) throw new NoEffectError(`${name} was refused`);
      ledger.note(sagaId, name);
      if (chance(0.2)) throw failure();
    },
  });
  const undo = (name: string) => ({
    undo: async ({ sagaId, signal }: { sagaId: string; signal: AbortSignal }) => {
      await sleep(Math.random() * 10, undefined, { signal });
      if (chance(0.7)) throw new Error(`undo of ${name} failed`);
      ledger.note(sagaId, `undo ${name}`);
    },
  });
  const before = (name: string) => ({ ...run(name, () => new Error(`${name} failed`)), ...undo(name) });
  const behind = (name: string) => ({
    ...run(name, () => new NonRetryableError(`${name} failed`)),
    ...undo(name),
  });
  return testSaga(
    {
      charge: { ...before('charge'), dependsOn: [] },
      stock: { ...before('stock'), dependsOn: [] },
      ship: { ...run('ship', () => new Error('ship failed')), pivot: true, dependsOn: ['charge', 'stock'] },
      label: { ...behind('label'), dependsOn: ['ship'] },
      mail: { ...behind('mail'), dependsOn: ['ship'] },
      thank: { ...behind('thank'), dependsOn: ['label', 'mail'] },
    },
    {
      ...{
        retry: { maxAttempts: 2, initialInterval: 50 },
        compensationRetry: { maxAttempts: 2, initialInterval: 50 },
      },
      ...{ stepTimeout: STEP_TIMEOUT_MS, settleGrace: 20 },
    },
  );
}

/** The first of none: what nobody knows is refused. */
function oneOf<T>(list: readonly T[]): T {
  return list[Math.floor(Math.random() * list.length)] as T;
}

/** Operators who do what they like, by the runbook. */
class Operators {
  changes = 0;
  open = true;
  readonly done = new Map<string, number>();
  private readonly hands: Promise<void>[] = [];

  constructor(private readonly ledger: Ledger) {}

  get haveDoneAll(): boolean {
    return ['cancel', 'compensate', 'resolve', 'retry', 'skip'].every((name) => this.done.has(name));
  }

  async operate(admin: SagaAdmin, ids: readonly string[]): Promise<void> {
    while (this.open) {
      // The latest: most of them are under way.
      const sagaId = ids.at(-1 - Math.floor(Math.random() * 30));
      if (sagaId !== undefined) await this.meddle(admin, sagaId);
      await sleep(2);
    }
    await Promise.all(this.hands);
  }

  /** Does something to a saga, whatever its state allows. */
  private async meddle(admin: SagaAdmin, sagaId: string): Promise<void> {
    const step = oneOf(STEPS);
    const resolved = oneOf(STEPS.filter((it) => this.ledger.stands(sagaId, it)));
    const actions: [string, () => Promise<unknown>][] = [
      ['retry', () => admin.retry(sagaId)],
      ['skip', () => admin.skip(sagaId, step)],
      ['resolve', () => admin.resolve(sagaId, resolved)],
      ['resume', () => admin.resume(sagaId)],
      // Not as often: a saga that is turned back at once has seen nothing.
      Math.random() < 0.4
        ? ['compensate', () => admin.compensate(sagaId)]
        : ['retry', () => admin.retry(sagaId)],
      Math.random() < 0.4 ? ['cancel', () => admin.cancel(sagaId)] : ['retry', () => admin.retry(sagaId)],
    ];
    const [name, act] = oneOf(actions);
    try {
      await act();
    } catch (error) {
      if (
        error instanceof IllegalTransitionError ||
        error instanceof SagaNotCancellableError ||
        error instanceof SagaInputError
      )
        return;
      throw error;
    }
    if (name === 'resolve') this.hands.push(this.undoByHand(sagaId, resolved));
    this.done.set(name, (this.done.get(name) ?? 0) + 1);
    // A cancel that was asked for before changes nothing, and is not noted.
    if (name !== 'cancel') this.changes += 1;
  }

  /** Resolved first; an undo that was under way has ended with its time-out, and may have done it. */
  private async undoByHand(sagaId: string, step: string): Promise<void> {
    await sleep(STEP_TIMEOUT_MS + 100);
    if (this.ledger.stands(sagaId, step)) this.ledger.note(sagaId, `by hand ${step}`);
  }
}

function happened(timeline: readonly SagaMoment[] = []): string {
  return timeline.map(({ what, step = '', epoch }) => `${what} ${step} (${epoch})`).join(', ');
}

function isStuck(status: SagaStatus): boolean {
  return status === 'failed' || status === 'parked';
}

/** A completed saga has all its effects, a compensated one has none but that of its pivot, and none is undone twice. */
function judge(ledger: Ledger, sagaId: string, history: SagaHistory | undefined): void {
  const { status, timeline = [], error } = history ?? {};
  const lines = ledger.of(sagaId);
  expect(['completed', 'compensated']).toContain(status);
  const skipped = timeline.filter(({ what }) => what.startsWith('step skipped')).map((it) => it.step);
  for (const name of STEPS) {
    const told = `${name} of ${status} ${sagaId}: ${lines.join(', ')}; ${happened(timeline)}`;
    const hand = lines.indexOf(`by hand ${name}`);
    expect([told, hand < 0 || !lines.slice(hand).includes(`undo ${name}`)]).toEqual([told, true]);
    const isUndone = lines.includes(`undo ${name}`) || hand >= 0;
    if (status === 'completed')
      expect([told, isUndone, lines.includes(name) || skipped.includes(name)]).toEqual([told, false, true]);
    else if (name === PIVOT)
      expect([told, !lines.includes(name) || error?.standing?.includes(name)]).toEqual([told, true]);
    else expect([told, ledger.stands(sagaId, name)]).toEqual([told, false]);
  }
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
    const operators = new Operators(ledger);
    const operating = [...admins, ...admins].map((admin) => operators.operate(admin, ids));
    for (let n = 0; n < SAGAS || (n < MOST_SAGAS && !operators.haveDoneAll); n++) {
      const started = await processes[n % 2]?.runtime.orchestrator.start(saga, {});
      ids.push(started?.sagaId ?? '');
      await sleep(15);
    }
    operators.open = false;
    await Promise.all(operating);
    world.mended = true;
    const [admin] = admins;
    const { orchestrator } = processes[0]?.runtime ?? {};
    await until(async () => {
      const statuses = await Promise.all(
        ids.map(async (id) => (await orchestrator?.get(id))?.status ?? 'pending'),
      );
      for (const [index, status] of statuses.entries())
        if (isStuck(status)) await admin?.retry(ids[index] ?? '').catch(() => undefined);
      return statuses.every((status) => isEnded(status) && !isStuck(status));
    });
    expect([...operators.done, operators.haveDoneAll]).toEqual([...operators.done, true]);
    const audits = await processes[0]?.application.query<{ n: number }[]>(
      'SELECT count(*)::int AS n FROM saga_audit',
    );
    expect(audits?.[0]?.n).toBeGreaterThanOrEqual(operators.changes);
    for (const id of ids) judge(ledger, id, await admin?.history(id));
  });
});
