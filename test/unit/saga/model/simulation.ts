import type { SagaDefinition } from '../../../../lib/saga/definition/saga-definition.js';
import { FencedError, NoEffectError, NonRetryableError } from '../../../../lib/saga/state/errors.js';
import type { SagaResult } from '../../../../lib/saga/execution/saga-result.js';
import type { CancelAnswer, SagaTransaction, SagaWrite } from '../../../../lib/saga/saga-storage.js';
import type { JournalEntry } from '../../../../lib/saga/state/journal.js';
import { isEnded } from '../../../../lib/saga/state/saga-status.js';
import { settled } from '../../../support/fake-clock.js';
import {
  QUICK,
  saga,
  SagaWorld,
  type Action,
  type TestRun,
  type TestStep,
  type Undo,
} from '../../../support/saga-world.js';
import {
  GRACE_MS,
  LONG_MS,
  TIMEOUT_MS,
  UNDO_ATTEMPTS,
  type Fault,
  type SagaPlan,
  type StepPlan,
} from './plan.js';

/** Longer than the age from which a process claims a saga of its own that it let go of without a word. */
const OWN_AGE_MS = 30_001;

/**
 * `begins` and `returns` are calls of an action, `did` its effect; `undoes` and `undid` or `undo fails` those of an undo.
 */
export interface Event {
  readonly at: number;
  readonly what: 'begins' | 'did' | 'returns' | 'throws' | 'undoes' | 'undid' | 'undo fails' | 'cancel';
  readonly step: string;
  /** Counts the calls of the action, or of the undo. */
  readonly call: number;
}

export interface Cancel {
  readonly answer: CancelAnswer;
  /** Of the saga in the moment of the request. */
  readonly status: string | undefined;
  /** Events before it. */
  readonly events: number;
}

export interface Outcome {
  readonly plan: SagaPlan;
  readonly events: readonly Event[];
  readonly result: SagaResult;
  readonly journal: readonly JournalEntry[];
  readonly cancel: Cancel | undefined;
  /** Whether a process let go of the saga without a word, because a handler would not settle. */
  readonly abandoned: boolean;
}

/** One saga that runs as its plan says, with everything that its handlers did. */
export class Simulation {
  readonly world = new SagaWorld();
  private readonly events: Event[] = [];
  private readonly calls = new Map<string, number>();
  private cancelled: Cancel | undefined;
  private abandoned = false;
  private readonly current: TestRun[] = [];

  constructor(private readonly plan: SagaPlan) {}

  async run(): Promise<Outcome> {
    const { world, plan } = this;
    this.watchCommits();
    const definition = this.definition();
    const first = await world.start(definition);
    this.current.push(first);
    const { sagaId } = first;
    if (plan.cancelAt !== undefined) world.clock.after(plan.cancelAt, () => void this.cancel(sagaId));
    await this.finish(sagaId, definition);
    return {
      ...{ plan, events: this.events, cancel: this.cancelled, abandoned: this.abandoned },
      result: await world.result(sagaId),
      journal: await world.storage.journal(sagaId),
    };
  }

  /** Lets time pass until the saga has ended and every late handler is through. */
  private async finish(sagaId: string, definition: SagaDefinition): Promise<void> {
    const { clock, database } = this.world;
    for (let rounds = 0; rounds < 100; rounds++) {
      await this.runsEnd();
      const row = database.sagas.get(sagaId);
      if (!row) throw new Error('there is no row');
      if (isEnded(row.status)) {
        const last = clock.waiting.at(-1);
        if (last === undefined) return;
        await clock.advance(last);
      } else {
        // A process that keeps it waits until it is sure that it does not run here.
        const keeps = row.owner !== undefined;
        if (keeps) this.abandoned = true;
        const restMs = keeps ? OWN_AGE_MS : Math.max(0, (row.wakeAt ?? 0) - clock.monotonic());
        await this.passUntilTaken(sagaId, restMs);
        if (this.isRunning) continue;
        const owner = row.owner ?? `later ${rounds}`;
        this.current.push(await this.world.takeOver(sagaId, definition, owner));
      }
    }
    throw new Error('the saga does not end');
  }

  /** A cancel frees a saga that waits. */
  private async passUntilTaken(sagaId: string, restMs: number): Promise<void> {
    const { clock, database } = this.world;
    const until = clock.monotonic() + restMs;
    await settled();
    while (clock.monotonic() < until) {
      const row = database.sagas.get(sagaId);
      if (this.isRunning || (row?.owner === undefined && row?.wakeAt === undefined)) return;
      const next = clock.waiting[0] ?? Infinity;
      await clock.advance(Math.min(next, until - clock.monotonic()));
    }
  }

  private get isRunning(): boolean {
    return this.over.size < this.current.length + this.world.reopened.length;
  }

  private readonly over = new Set<TestRun>();

  /** A run whose saga was taken for a late result stops at the fence. */
  private async runsEnd(): Promise<void> {
    const { clock, reopened } = this.world;
    for (const run of [...this.current, ...reopened]) {
      if (this.over.has(run)) continue;
      await clock.until(run.done).catch((error: unknown) => {
        if (!(error instanceof FencedError)) throw error;
      });
      this.over.add(run);
    }
    if (this.isRunning) await this.runsEnd();
  }

  private async cancel(sagaId: string): Promise<void> {
    const { storage, reopened } = this.world;
    const status = await this.world.status(sagaId);
    const events = this.events.length;
    const answer = await storage.requestCancel(sagaId);
    this.cancelled = { answer, status, events };
    this.note('cancel', answer);
    if (answer === 'requested') await [...this.current, ...reopened].at(-1)?.runner.cancel();
  }

  private definition(): SagaDefinition {
    const { steps, failureStrategy, onCompensationFailure, concurrency, timeout } = this.plan;
    const entries = steps.map((step) => [step.name, this.step(step)] as const);
    return saga(Object.fromEntries(entries), {
      ...{ failureStrategy, onCompensationFailure, concurrency, strict: false },
      ...{ settleGrace: GRACE_MS, stepTimeout: TIMEOUT_MS, compensationTimeout: TIMEOUT_MS },
      ...(timeout !== undefined && { timeout }),
    });
  }

  private step(plan: StepPlan): TestStep {
    const { dependsOn, pivot, transactional, readOnly, compensateOn, undo } = plan;
    return {
      ...{ dependsOn, pivot, transactional, readOnly, compensateOn },
      retry: { ...backOff(plan.long), maxAttempts: plan.attempts },
      run: (ctx: Action) => this.act(plan, ctx),
      ...(undo && {
        undo: (ctx: Undo) => this.undo(plan, ctx),
        undoOptions: {
          retry: { ...backOff(undo.long), maxAttempts: UNDO_ATTEMPTS },
          ...(undo.after && { after: undo.after }),
        },
      }),
    };
  }

  private async act({ name, script, transactional }: StepPlan, _: Action): Promise<string> {
    const call = this.call(name);
    const fault: Fault = script[call - 1] ?? { kind: 'ok', ms: 1, effect: true };
    this.note('begins', name, call);
    const succeeds = fault.kind === 'ok' || fault.kind === 'lateOk';
    const effect = fault.effect && !transactional;
    // What fails after its effect has it at once: its reply is lost. A late error tells nobody of a late effect.
    if (effect && !succeeds) this.note('did', name, call);
    await this.world.clock.delay(fault.ms);
    if (effect && succeeds) this.note('did', name, call);
    if (succeeds) {
      this.note('returns', name, call);
      return `${name}${call}`;
    }
    this.note('throws', name, call);
    if (fault.kind === 'noEffect') throw new NoEffectError('refused');
    if (fault.kind === 'notAgain') throw new NonRetryableError('not again');
    throw new Error('fault');
  }

  private async undo({ name, undo }: StepPlan, _: Undo): Promise<void> {
    const call = this.call(`undo ${name}`);
    this.note('undoes', name, call);
    await this.world.clock.delay(undo?.ms ?? 0);
    const fails = undo?.fails === 'always' || (undo?.fails === 'once' && call === 1);
    this.note(fails ? 'undo fails' : 'undid', name, call);
    if (fails) throw new Error('undo fault');
  }

  private call(key: string): number {
    const call = (this.calls.get(key) ?? 0) + 1;
    this.calls.set(key, call);
    return call;
  }

  /** A transactional step has its effect in the moment of its commit. */
  private watchCommits(): void {
    const { storage } = this.world;
    const begin = storage.begin.bind(storage);
    storage.begin = async (): Promise<SagaTransaction<undefined>> => {
      const transaction = await begin();
      const commit = async (write: SagaWrite) => {
        const appended = await transaction.commit(write);
        const refused = appended.cancelRequested && (write.launchesPivot || write.status === 'completed');
        for (const { kind, step } of write.entries)
          if (kind === 'step_completed' && step !== null && !refused)
            this.note('did', step, this.calls.get(step));
        return appended;
      };
      return { ...transaction, commit };
    };
  }

  private note(what: Event['what'], step: string, call = 0): void {
    this.events.push({ at: this.world.clock.monotonic(), what, step, call });
  }
}

function backOff(long: boolean) {
  return long ? { ...QUICK, initialInterval: LONG_MS, maxInterval: LONG_MS } : QUICK;
}
