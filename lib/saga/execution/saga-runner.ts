import { setMaxListeners } from 'node:events';
import type { EventRules } from '../../events/event-factory.js';
import type { Clock } from '../../runtime/clock.js';
import { Deferred } from '../../runtime/deferred.js';
import type { Log } from '../../runtime/log.js';
import { Turn } from '../../runtime/turn.js';
import type { WorkerIdentity } from '../../runtime/worker-identity.js';
import type { SagaDefinition, StepDefinition } from '../definition/saga-definition.js';
import type { ClaimedSaga, SagaStorage, SagaWrite } from '../saga-storage.js';
import { CommitUnknownError, FencedError, SagaCancelledError, ShutdownError } from '../state/errors.js';
import type { JournalEntry, ReleaseRecord } from '../state/journal.js';
import { isEnded, type SagaStatus } from '../state/saga-status.js';
import { ContextFactory } from './context-factory.js';
import { reachedStatus, readySteps, readyUndos, relaunches, running } from './decisions.js';
import { LostActions } from './lost-actions.js';
import { endOf } from './saga-result.js';
import { applyEntry, initialState, launchSteps, stateOf, type SagaState } from './saga-state.js';
import type { Fact, StepHost } from './step-host.js';
import { actionJob, undoJob, type StepJob } from './step-job.js';
import { StepRunner } from './step-runner.js';

export interface RunnerSettings {
  readonly storage: SagaStorage;
  readonly identity: WorkerIdentity;
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly events: EventRules;
  readonly maxResultBytes: number;
  /** Called after events were committed, so that the relay need not wait for its next poll. */
  readonly wakeRelay: () => void;
}

/**
 * `ended`: nothing is left to do. `released`: another process goes on. `abandoned`: a handler would not settle, so
 * only the death of this process, seen by its lease, frees the saga.
 */
export type RunEnd = 'ended' | 'released' | 'abandoned';

/**
 * Runs one saga that this process owns, from its journal to its end. What happens next follows from the state alone
 * (`decisions.ts`); this class starts handlers, writes what they report, one write at a time, and starts what a write
 * launched once it is durable.
 */
export class SagaRunner implements StepHost {
  readonly contexts: ContextFactory;
  readonly storage: SagaStorage;
  readonly clock: Clock;
  readonly log: Log;
  readonly maxResultBytes: number;
  readonly title: string;
  private current: SagaState;
  /** The status in the database: a parked saga is written as such once its last handler has ended. */
  private written: SagaStatus;
  private pending: Fact[] = [];
  private unsettled = 0;
  private fault: { readonly error: unknown } | undefined;
  /** Whether what an earlier owner lost is noted. */
  private resumed = false;
  /** Steps that this process launched, and those of them whose handler it has called. */
  private readonly launched = new Set<string>();
  private readonly begun = new Set<string>();
  private readonly active = new Map<string, AbortController>();
  private readonly turn = new Turn();
  private readonly halt = new AbortController();
  private readonly end = new Deferred<RunEnd>();
  private readonly lostActions: LostActions;

  /** @throws DefinitionChangedError when the journal names steps that the definition does not have */
  constructor(
    readonly saga: ClaimedSaga,
    readonly definition: SagaDefinition,
    private readonly settings: RunnerSettings,
  ) {
    // One listener for each step that waits.
    setMaxListeners(0, this.halting);
    this.storage = settings.storage;
    this.clock = settings.clock;
    this.log = settings.log;
    this.maxResultBytes = settings.maxResultBytes;
    this.title = `saga ${saga.name} ${saga.sagaId}`;
    this.contexts = new ContextFactory(saga, settings.events);
    const first = initialState(definition, saga.launch);
    this.current = saga.journal.reduce((state, entry) => applyEntry(definition, state, entry), first);
    this.written = saga.status;
    this.lostActions = new LostActions(saga, this.current, settings);
  }

  /**
   * Resolves when nothing of the saga runs here any more.
   * @throws FencedError when another process owns it; any other error is a fault of the storage, after which the saga
   * must be claimed anew, because a write may or may not have been stored
   */
  run(): Promise<RunEnd> {
    const fresh = this.saga.epoch === 1 && this.saga.launch.length > 0;
    if (fresh) this.startActions(this.saga.launch);
    else this.resume().catch((error: unknown) => this.crash(error));
    this.settle();
    return this.end.promise;
  }

  state(): SagaState {
    return this.current;
  }

  get halting(): AbortSignal {
    return this.halt.signal;
  }

  /** Starts nothing new; what runs may finish. The saga is released as soon as nothing of it runs here. */
  drain(): void {
    this.halt.abort();
    this.settle();
  }

  /** Aborts what still runs after the drain's time. */
  stop(): void {
    this.abortAll(new ShutdownError('the process is shutting down'));
  }

  requireLease(): void {
    if (this.settings.identity.remainingMs() > 0) return;
    throw new FencedError(`${this.title}: the lease of this process has run out`);
  }

  async awaitLostAction(step: StepDefinition): Promise<void> {
    if (!stateOf(this.current, step.name).interrupted) return;
    const waitMs = this.lostActions.waitMs(step, this.definition.options.settleGrace);
    if (waitMs > 0) await this.clock.delay(waitMs, this.halting);
  }

  /** Handlers that were called and have not settled, which only the end of the process ends. */
  get unsettledHandlers(): number {
    return this.unsettled;
  }

  handlerCalled(step: string, settled: Promise<unknown>): void {
    this.begun.add(step);
    this.unsettled += 1;
    const done = () => {
      this.unsettled -= 1;
    };
    settled.then(done, done);
  }

  record(facts: readonly Fact[], store?: (write: SagaWrite) => Promise<void>): Promise<void> {
    if (store) return this.turn.run(() => this.write(facts, store));
    this.pending.push(...facts);
    return this.turn.run(async () => {
      const batch = this.pending.splice(0);
      if (batch.length > 0) await this.write(batch, (write) => this.append(write));
    });
  }

  /**
   * Continues what another process began, and starts what is ready. In a drain it only notes what was lost, so that
   * the next owner knows.
   */
  private async resume(): Promise<void> {
    await this.turn.run(async () => {
      const facts: Fact[] = [{ kind: 'resumed', step: null, attempt: 0, data: null, events: [] }];
      if (this.halting.aborted && running(this.current).length === 0) return;
      const again = this.halting.aborted ? [] : relaunches(this.current);
      await this.write(facts, (write) => this.append(write), again);
    });
    this.resumed = true;
    this.settle();
  }

  /** Whatever comes of it, a write that failed may have been stored: nothing more is written under this claim. */
  private async append(write: SagaWrite): Promise<void> {
    try {
      await this.storage.append(write);
    } catch (error) {
      this.crash(error);
      throw error;
    }
  }

  private async write(
    facts: readonly Fact[],
    store: (write: SagaWrite) => Promise<void>,
    again: readonly string[] = [],
  ): Promise<void> {
    if (this.fault)
      throw new FencedError(`${this.title} stopped here by a fault`, { cause: this.fault.error });
    const { entries, next } = this.fold(facts, again);
    const ended = isEnded(next.status) && running(next).length === 0;
    const status = ended || !isEnded(next.status) ? next.status : this.written;
    const events = facts.flatMap((fact) => fact.events);
    const { sagaId, epoch } = this.saga;
    const change = {
      ...(status !== this.written && { status }),
      ...(ended && { end: endOf(this.definition, next) }),
    };
    await store({ sagaId, epoch, entries, events, ...change }).catch((error: unknown) => {
      if (error instanceof FencedError || error instanceof CommitUnknownError) this.crash(error);
      throw error;
    });
    this.current = next;
    this.written = status;
    if (events.length > 0) this.settings.wakeRelay();
    this.goOn(entries.at(-1)?.launch ?? [], ended);
  }

  /** The journal entries of the facts, the last one with what it launches, and the state after them. */
  private fold(
    facts: readonly Fact[],
    again: readonly string[],
  ): { entries: JournalEntry[]; next: SagaState } {
    const entries: JournalEntry[] = [];
    let next = this.current;
    for (const { kind, step, attempt, data } of facts) {
      const entry = { seq: next.seq + 1, epoch: this.saga.epoch, kind, step, attempt, data, launch: [] };
      next = applyEntry(this.definition, next, entry);
      entries.push(entry);
    }
    next = launchSteps(next, again);
    const ready = this.halting.aborted ? [] : readySteps(this.definition, next);
    next = launchSteps(next, ready);
    const last = entries.pop();
    if (last) entries.push({ ...last, launch: [...again, ...ready] });
    return { entries, next: { ...next, status: reachedStatus(this.definition, next) } };
  }

  private goOn(launch: readonly string[], ended: boolean): void {
    if (ended) return this.end.resolve('ended');
    this.startActions(launch);
    if (this.current.status !== 'compensating') return;
    for (const [key, controller] of this.active) {
      if (!isUndo(key)) controller.abort(new SagaCancelledError('the saga turned to its compensation'));
    }
    if (!this.halting.aborted) this.startUndos();
  }

  private startActions(names: readonly string[]): void {
    for (const name of names) {
      this.launched.add(name);
      if (this.halting.aborted) continue;
      void this.perform(name, actionJob(this.definition, name, stateOf(this.current, name).launches));
    }
  }

  private startUndos(): void {
    for (const name of readyUndos(this.definition, this.current)) {
      if (!this.active.has(undoKey(name))) void this.perform(undoKey(name), undoJob(this.definition, name));
    }
  }

  private async perform(key: string, job: StepJob): Promise<void> {
    const controller = new AbortController();
    this.active.set(key, controller);
    try {
      await new StepRunner(this, job, controller.signal).run();
    } catch (error) {
      this.crash(error);
    } finally {
      this.active.delete(key);
      this.settle();
    }
  }

  /** Once nothing of the saga runs here: tells a fault, or lets go of it in a drain. */
  private settle(): void {
    if (!this.halting.aborted) return;
    this.turn.run(() => this.letGo()).catch((error: unknown) => this.end.reject(error));
  }

  private async letGo(): Promise<void> {
    const fresh = this.launched.size > 0;
    if (this.active.size > 0 || isEnded(this.written) || !(fresh || this.resumed || this.fault)) return;
    if (this.fault) throw this.fault.error;
    if (this.unsettled > 0) {
      this.end.resolve('abandoned');
      return;
    }
    const { sagaId, epoch } = this.saga;
    await this.storage.append({ sagaId, epoch, entries: this.releaseEntries(), events: [], release: true });
    this.end.resolve('released');
  }

  /** Says which launched steps were no attempt, so that a shutdown never uses up the last one. */
  private releaseEntries(): JournalEntry[] {
    const launched = running(this.current).filter((name) => this.launched.has(name));
    if (launched.length === 0) return [];
    const record: ReleaseRecord = {
      unrun: launched.filter((name) => !this.begun.has(name)),
      cut: launched.filter((name) => this.begun.has(name)),
    };
    const fact = { kind: 'released', step: null, attempt: 0, data: JSON.stringify(record) } as const;
    return [{ ...fact, seq: this.current.seq + 1, epoch: this.saga.epoch, launch: [] }];
  }

  private crash(error: unknown): void {
    this.fault ??= { error };
    this.halt.abort();
    this.abortAll(error);
    this.settle();
  }

  private abortAll(reason: unknown): void {
    for (const controller of this.active.values()) controller.abort(reason);
  }
}

const undoKey = (name: string) => `${name}:undo`;
const isUndo = (key: string) => key.endsWith(':undo');
