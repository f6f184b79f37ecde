import type { EventRules } from '../../events/event-factory.js';
import type { OutboxRecord } from '../../events/outbox-event.js';
import type { Clock } from '../../runtime/clock.js';
import type { DebugProbe } from '../../runtime/debug-points.js';
import { Deferred } from '../../runtime/deferred.js';
import { errorOf } from '../../runtime/error-text.js';
import type { Log } from '../../runtime/log.js';
import type { Telemetry } from '../../runtime/telemetry.js';
import type { Tracing } from '../../runtime/tracing.js';
import type { WorkerIdentity } from '../../runtime/worker-identity.js';
import type { SagaDefinition, StepDefinition } from '../definition/saga-definition.js';
import type { ClaimedSaga, LateResult, SagaStorage, SagaWrite } from '../saga-storage.js';
import { FencedError, ShutdownError } from '../state/errors.js';
import type { ResumeRecord } from '../state/journal.js';
import { isUndone } from '../state/step-status.js';
import { transition } from '../state/saga-status.js';
import { ActiveJobs, undoKey } from './active-jobs.js';
import { ContextFactory } from './context-factory.js';
import { readyUndos, relaunches, running } from './decisions.js';
import { GateKeeper, type GateOwner } from './gate-keeper.js';
import { Gates } from './gates.js';
import { LostActions } from './lost-actions.js';
import { dueTurn } from './due-turn.js';
import { deathsOf } from './suspicion.js';
import { CANCELLED, SagaJournal, type JournalOwner, type Written } from './saga-journal.js';
import type { ResultRow } from './saga-result.js';
import { SagaDeadline } from './saga-deadline.js';
import { SagaReporter } from './saga-reporter.js';
import { SagaTrace } from './saga-trace.js';
import { stateOf, type SagaState } from './saga-state.js';
import type { Fact, Store } from './fact.js';
import type { StepHost } from './step-host.js';
import { actionJob, undoJob, type StepJob } from './step-job.js';
import { StepRunner } from './step-runner.js';
import { StepsHere } from './steps-here.js';

export interface RunnerSettings {
  readonly storage: SagaStorage;
  readonly identity: WorkerIdentity;
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly events: EventRules;
  readonly maxResultBytes: number;
  /** Called after events were committed, so that the relay need not wait for its next poll. */
  readonly wakeRelay: (events: readonly OutboxRecord[]) => void;
  readonly telemetry: Telemetry;
  readonly tracing?: Tracing;
  readonly reach: DebugProbe;
  /** Called after a saga was let go of that somebody may claim at once. */
  readonly wakeClaims: () => void;
  /** Called with a success that came when its saga had ended here, or was lost. */
  readonly lateResult: (late: Omit<LateResult, 'workerId'>) => void;
}

/** A saga is let go of only if that spares its process at least this long. */
const MIN_REST_MS = 1_000;

/**
 * `ended`: nothing is left to do. `released`: another process goes on, or this one when the time has come. `abandoned`:
 * a handler would not settle, so only the death of this process, seen by its lease, frees the saga.
 */
export type RunEnd = 'ended' | 'released' | 'abandoned';

/**
 * Runs one saga that this process owns, from its journal to its end. What happens next follows from the state alone
 * (`decisions.ts`); this class starts handlers, has their facts written, and starts what a write launched once it is
 * durable.
 */
export class SagaRunner implements StepHost, JournalOwner, GateOwner {
  readonly contexts: ContextFactory;
  readonly storage: SagaStorage;
  readonly clock: Clock;
  readonly log: Log;
  readonly maxResultBytes: number;
  readonly title: string;
  readonly reporter: SagaReporter;
  readonly trace: SagaTrace;
  readonly reach: DebugProbe;
  /** Processes in a row that died while they ran this saga. */
  readonly deaths: number;
  /** How the saga ended here, where the storage has said when. */
  ended: ResultRow | undefined;
  /** From the drain on, and after a fault of the storage. */
  halting = false;
  private readonly journal: SagaJournal;
  private readonly jobs: ActiveJobs;
  /** Undefined when no step of the saga ever waits. */
  readonly gates: GateKeeper | undefined;
  private readonly steps = new StepsHere();
  /** Whether what an earlier owner lost is noted. */
  private resumed = false;
  /** Nothing of the saga needs a process before this point of the monotonic clock; Infinity: until a signal comes. */
  private wakeAt: number | undefined;
  private readonly end = new Deferred<RunEnd>();
  private begun = false;
  cancelled = false;
  private over = false;
  private readonly lostActions: LostActions;
  private readonly claimedAt: number;
  readonly deadline: SagaDeadline | undefined;

  /** @throws DefinitionChangedError when the journal names steps that the definition does not have */
  constructor(
    readonly saga: ClaimedSaga,
    readonly definition: SagaDefinition,
    private readonly settings: RunnerSettings,
  ) {
    const { clock, events } = settings;
    ({ storage: this.storage, log: this.log, maxResultBytes: this.maxResultBytes } = settings);
    this.clock = clock;
    this.reach = settings.reach;
    this.title = `saga ${saga.name} ${saga.sagaId}`;
    this.reporter = new SagaReporter(saga, settings.telemetry, clock);
    this.trace = new SagaTrace(saga, settings.tracing);
    this.contexts = new ContextFactory(saga, events, { now: clock.now(), trace: this.trace });
    this.journal = new SagaJournal(saga, definition, this.storage, this);
    this.deaths = deathsOf(saga, this.journal.state);
    this.jobs = new ActiveJobs(definition.options, clock);
    if (definition.gates.size > 0)
      this.gates = new GateKeeper(new Gates(saga, definition, clock), this.journal, this);
    this.claimedAt = clock.monotonic();
    this.lostActions = new LostActions(saga, this.journal.state, settings);
    if (saga.deadlineInMs !== undefined) {
      this.deadline = new SagaDeadline(saga.deadlineInMs, definition, clock);
    }
  }

  /**
   * Resolves when nothing of the saga runs here any more.
   * @throws FencedError when another process owns it; any other error is a fault of the storage, after which the saga
   * must be claimed anew, because a write may or may not have been stored
   */
  run(): Promise<RunEnd> {
    if (this.over) return this.end.promise;
    this.begun = true;
    const fresh = this.saga.epoch === 1 && this.saga.launch.length > 0;
    this.reporter.begun(this.state());
    const { deadline } = this;
    deadline?.arm(() => void this.timeOut(deadline));
    if (fresh) {
      this.startActions(this.saga.launch);
      this.gates?.open();
    } else this.resume().catch((error: unknown) => this.lostTrack(error));
    if (this.halting) this.settle();
    return this.end.promise;
  }

  state(): SagaState {
    return this.journal.state;
  }

  /** Starts nothing new; what runs may finish. The saga is released as soon as nothing of it runs here. */
  drain(): void {
    this.halting = true;
    this.jobs.finishAll();
    this.settle();
  }

  /** Aborts what still runs after the drain's time. */
  stop(): void {
    this.jobs.abortAll(new ShutdownError('the process is shutting down'));
  }

  /** Turns the saga back, unless it is too late for that. The storage knows of the request already. */
  cancel(): Promise<void> {
    this.cancelled = true;
    // A suspect that waits for its turn turns back when that comes.
    if (!this.begun) return Promise.resolve();
    return this.journal.alone(async () => {
      if (this.journal.mayCancel && !this.journal.closedBy) await this.journal.write([CANCELLED]);
    });
  }

  requireLease(): void {
    if (this.settings.identity.remainingMs() > 0) return;
    throw new FencedError(`${this.title}: the lease of this process has run out`);
  }

  async requireOwnership(): Promise<void> {
    if ((await this.storage.taken([this.saga])).length === 0) return;
    throw new FencedError(`${this.title} was taken from this process`);
  }

  lostActionMs(step: StepDefinition): number {
    if (!stateOf(this.state(), step.name).interrupted) return 0;
    return this.lostActions.waitMs(step, this.definition.options.settleGrace);
  }

  pauseLeftMs(step: string): number {
    const left = stateOf(this.state(), step).pause?.leftMs ?? 0;
    return left - (this.clock.monotonic() - this.claimedAt);
  }

  paused(): void {
    if (!this.mayRest) return;
    const waitMs = this.gates?.restMs;
    if (this.jobs.size === 0 && waitMs === undefined) return;
    const restMs = Math.min(this.jobs.restMs, waitMs ?? Infinity);
    if (restMs < MIN_REST_MS) return;
    this.wakeAt = this.clock.monotonic() + (this.deadline?.cut(restMs) ?? restMs);
    this.drain();
  }

  /** Whoever let go of it now would lose what a handler that has not settled may still return, or a time that is just up. */
  private get mayRest(): boolean {
    return !(this.halting || this.steps.unsettled > 0 || this.gates?.mustLook || this.deadline?.isDue);
  }

  /** Handlers that were called and have not settled, which only the end of the process ends. */
  get unsettledHandlers(): number {
    return this.steps.unsettled;
  }

  handlerCalled(step: string): void {
    this.steps.called(step);
  }

  handlerSettled(): void {
    this.steps.settled();
  }

  /** A success that its step could not wait for, or that could not be written: its undo has to know, even after the end. */
  lateResult(step: string, text: string | null): void {
    this.journal.alone(() => this.takeLate(step, text)).catch((error: unknown) => this.lostTrack(error));
  }

  private async takeLate(step: string, text: string | null): Promise<void> {
    const { sagaId } = this.saga;
    if (this.over || this.journal.closedBy) {
      this.settings.lateResult({ sagaId, step, text });
      return;
    }
    const state = this.state();
    const { status } = stateOf(state, step);
    const isGivenUp = status === 'failed' || status === 'skipped' || isUndone(status);
    if (state.status === 'compensating' && (isGivenUp || this.jobs.has(undoKey(step)))) {
      await this.journal.write([{ kind: 'late_completed', step, attempt: 0, data: text, events: [] }]);
    } else this.log.warn(`${this.title}: a late result of step ${step} changes nothing`);
  }

  record(facts: readonly Fact[], store?: Store): Promise<void> {
    return this.journal.record(facts, store);
  }

  get mayLaunch(): boolean {
    return !this.halting;
  }

  get undoing(): readonly string[] {
    return this.jobs.undoing;
  }

  written(write: Written): void {
    const { before, entries, launch, end, times, events } = write;
    this.wakeAt = undefined;
    this.gates?.note(entries);
    this.reporter.written(write, this.state());
    if (events.length > 0) this.settings.wakeRelay(events);
    if (end) {
      const { sagaId, name } = this.saga;
      if (times) this.ended = { sagaId, name, status: this.state().status, ...times, ...end };
      this.finish('ended');
      return;
    }
    this.startActions(launch);
    if (this.gates && entries.some(({ kind }) => kind === 'step_completed')) this.gates.open();
    const { status, failure } = this.state();
    if (status !== 'compensating') return;
    if (before.status === 'running') this.jobs.turnBack(failure);
    this.startUndos();
  }

  lostTrack(error: unknown): void {
    this.journal.close(error);
    this.halting = true;
    this.jobs.abortAll(errorOf(error));
    this.settle();
  }

  /**
   * Continues what another process began, and starts what is ready. In a drain it only notes what was lost, so that
   * the next owner knows.
   */
  private async resume(): Promise<void> {
    await this.journal.alone(async () => {
      const { halting } = this;
      const state = this.state();
      if (halting && running(state).length === 0) return;
      const data = JSON.stringify({ deaths: this.deaths } satisfies ResumeRecord);
      const resumed: Fact = { kind: 'resumed', step: null, attempt: 0, data, events: [] };
      const turn = this.journal.mayCancel ? dueTurn(this) : undefined;
      const again = halting || turn ? [] : relaunches(state);
      const opened = halting || turn ? [] : (this.gates?.openings ?? []);
      await this.journal.write(turn ? [turn, resumed] : [resumed, ...opened], undefined, again);
    });
    this.resumed = true;
    if (this.halting) this.settle();
    else this.gates?.open();
  }

  /** The saga's own limit: before the pivot it turns back, after it somebody should look. */
  private timeOut(deadline: SagaDeadline): Promise<void> {
    const work = this.journal.alone(async () => {
      if (this.journal.closedBy || this.journal.hasEnded) return;
      if (this.journal.mayCancel) return this.journal.write([deadline.turn]);
      // Turned back already: then what it waits for is aborted.
      if (this.state().status === 'compensating') this.jobs.abortActions(deadline.error);
      else this.reporter.overdue(deadline.error.code);
      this.paused();
    });
    return work.catch((error: unknown) => this.lostTrack(error));
  }

  private startActions(names: readonly string[]): void {
    for (const name of names) {
      this.steps.launch(name);
      if (!this.halting) this.perform(actionJob(this.definition, this.state(), name));
    }
  }

  private startUndos(): void {
    if (this.halting) return;
    for (const name of readyUndos(this.definition, this.state())) {
      if (!this.jobs.has(undoKey(name))) this.perform(undoJob(this.definition, this.state(), name));
    }
  }

  private perform(job: StepJob): void {
    const runner = new StepRunner(this, job);
    this.jobs.add(runner);
    void runner.run();
  }

  performed(job: StepJob): void {
    this.jobs.remove(job);
    if (this.halting) return this.settle();
    if (this.over) return;
    // An undo that has to run again could not start while it was running; a saga may now be one that only waits.
    if (job.mode === 'undo') this.startUndos();
    this.paused();
  }

  /** Once nothing of the saga runs here: tells a fault, or lets go of it in a drain. */
  private settle(): void {
    this.journal
      .alone(() => this.letGo())
      .catch((error: unknown) => {
        this.close();
        this.end.reject(error);
      });
  }

  private async letGo(): Promise<void> {
    const fault = this.journal.closedBy;
    const fresh = this.steps.any;
    if (this.jobs.size > 0 || this.over || this.journal.hasEnded || !(fresh || this.resumed || fault)) return;
    if (fault) throw fault.error;
    if (this.steps.unsettled > 0) {
      this.finish('abandoned');
      return;
    }
    const { sagaId, epoch } = this.saga;
    const write = { sagaId, epoch, events: [], entries: this.steps.releaseEntries(this.state(), epoch) };
    const { stored } = await this.storage.append({ ...write, ...this.rest() });
    // A signal has come meanwhile: whoever claims the saga finds it.
    if (!stored) await this.storage.append({ ...write, release: { wakeInMs: 0 } });
    this.finish('released');
    if (!stored) this.settings.wakeClaims();
    else if (this.isWaiting) this.reporter.waiting();
  }

  /** For how long nobody needs to run the saga. */
  private rest(): Pick<SagaWrite, 'status' | 'release' | 'signalSeq'> {
    const { wakeAt } = this;
    if (wakeAt === undefined) return { release: {} };
    const wakeInMs = Math.max(0, wakeAt - this.clock.monotonic());
    const release = wakeInMs < Infinity ? { wakeInMs } : {};
    if (!this.isWaiting) return { release };
    const status = transition(this.state().status, 'waiting');
    return { release, status, signalSeq: this.gates?.known?.seq };
  }

  /** An undo that waits is still compensating; only a saga that goes forward is waiting. */
  private get isWaiting(): boolean {
    return this.wakeAt !== undefined && this.state().status === 'running';
  }

  private finish(end: RunEnd): void {
    this.close();
    this.end.resolve(end);
  }

  private close(): void {
    this.over = true;
    this.gates?.close();
    this.deadline?.close();
    this.jobs.close();
  }
}
