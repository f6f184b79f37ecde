import type { EventRules } from '../../events/event-factory.js';
import type { Clock } from '../../runtime/clock.js';
import { Deferred } from '../../runtime/deferred.js';
import { Turn } from '../../runtime/turn.js';
import { stepOf, type SagaDefinition } from '../definition/saga-definition.js';
import type { ClaimedSaga, SagaStorage, SagaWrite } from '../saga-storage.js';
import { SagaCancelledError, ShutdownError } from '../state/errors.js';
import type { JournalEntry } from '../state/journal.js';
import { isEnded, type SagaStatus } from '../state/saga-status.js';
import { ContextFactory } from './context-factory.js';
import { readySteps, readyUndos, reachedStatus, relaunches, running } from './decisions.js';
import { endOf } from './saga-result.js';
import { applyEntry, initialState, launchSteps, stateOf, type SagaState } from './saga-state.js';
import { actionJob, undoJob, type StepJob } from './step-job.js';
import { StepRunner, type Fact, type StepHost } from './step-runner.js';

export interface RunnerSettings {
  readonly storage: SagaStorage;
  readonly clock: Clock;
  readonly events: EventRules;
  readonly maxResultBytes: number;
  /** Called after events were committed, so that the relay need not wait for its next poll. */
  readonly wakeRelay: () => void;
}

/** `ended`: nothing is left to do. `released`: another process goes on. */
export type RunEnd = 'ended' | 'released';

/**
 * Runs one saga that this process owns, from its journal to its end. What happens next follows from the state alone
 * (`decisions.ts`); this class starts handlers, writes what they report, one write at a time, and starts what the write
 * launched once it is durable.
 */
export class SagaRunner implements StepHost {
  readonly contexts: ContextFactory;
  readonly storage: SagaStorage;
  readonly clock: Clock;
  readonly maxResultBytes: number;
  private current: SagaState;
  private written: SagaStatus;
  private pending: Fact[] = [];
  private readonly turn = new Turn();
  private readonly active = new Map<string, AbortController>();
  private readonly drainer = new AbortController();
  private readonly end = new Deferred<RunEnd>();
  private fault: { readonly error: unknown } | undefined;

  constructor(
    readonly saga: ClaimedSaga,
    readonly definition: SagaDefinition,
    private readonly settings: RunnerSettings,
  ) {
    this.storage = settings.storage;
    this.clock = settings.clock;
    this.maxResultBytes = settings.maxResultBytes;
    this.contexts = new ContextFactory(saga, settings.events);
    const first = initialState(definition, saga.launch);
    this.current = saga.journal.reduce((state, entry) => applyEntry(definition, state, entry), first);
    this.written = saga.status;
  }

  /**
   * Resolves when the saga has ended or was released.
   * @throws FencedError when another process owns it; any other error is a fault of the storage, after which the saga
   * must be claimed anew, because a write may or may not have been stored
   */
  run(): Promise<RunEnd> {
    const fresh = this.saga.epoch === 1 && this.saga.launch.length > 0;
    if (fresh) this.startActions(this.saga.launch);
    else this.resume().catch((error: unknown) => this.crash(error));
    return this.end.promise;
  }

  state(): SagaState {
    return this.current;
  }

  get draining(): AbortSignal {
    return this.drainer.signal;
  }

  /** Starts nothing new; what runs may finish. The saga is released as soon as nothing of it runs here. */
  drain(): void {
    this.drainer.abort();
    this.settle();
  }

  /** Aborts what still runs after the drain's time. */
  stop(): void {
    this.abortAll(new ShutdownError('the process is shutting down'));
  }

  record(facts: readonly Fact[], store?: (write: SagaWrite) => Promise<void>): Promise<void> {
    if (store) return this.turn.run(() => this.write(facts, store));
    this.pending.push(...facts);
    return this.turn.run(async () => {
      const batch = this.pending.splice(0);
      if (batch.length > 0) await this.write(batch, (write) => this.storage.append(write));
    });
  }

  private async resume(): Promise<void> {
    const { again, spent } = relaunches(this.definition, this.current);
    const facts: Fact[] = [{ kind: 'resumed', step: null, attempt: 0, data: null, events: [] }];
    for (const step of spent) {
      const lost = {
        code: 'SAGAZ_INTERRUPTED',
        message: 'its process was lost while it ran, and it may not be repeated',
        step,
        outcome: 'unknown',
      };
      facts.push({
        kind: 'step_failed',
        step,
        attempt: stateOf(this.current, step).launches,
        data: JSON.stringify(lost),
        events: [],
      });
    }
    await this.turn.run(() => this.write(facts, (write) => this.storage.append(write), again));
    this.settle();
  }

  private async write(
    facts: readonly Fact[],
    store: (write: SagaWrite) => Promise<void>,
    again: readonly string[] = [],
  ): Promise<void> {
    const { entries, next } = this.fold(facts, again);
    const ended = isEnded(next.status) && running(next).length === 0;
    const status = ended || !isEnded(next.status) ? next.status : this.written;
    const events = facts.flatMap((fact) => fact.events);
    await store({
      sagaId: this.saga.sagaId,
      epoch: this.saga.epoch,
      entries,
      events,
      ...(status !== this.written && { status }),
      ...(ended && { end: endOf(this.definition, next) }),
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
    if (!this.draining.aborted) next = launchSteps(next, again);
    const launch = this.draining.aborted ? [] : [...again, ...readySteps(this.definition, next)];
    next = launchSteps(next, launch.slice(again.length));
    const last = entries.pop();
    if (last) entries.push({ ...last, launch });
    return { entries, next: { ...next, status: reachedStatus(this.definition, next) } };
  }

  private goOn(launch: readonly string[], ended: boolean): void {
    if (ended) return this.end.resolve('ended');
    this.startActions(launch);
    if (this.current.status !== 'compensating') return;
    for (const [key, controller] of this.active) {
      if (!isUndo(key)) controller.abort(new SagaCancelledError('the saga turned to its compensation'));
    }
    if (!this.draining.aborted) this.startUndos();
  }

  private startActions(names: readonly string[]): void {
    for (const name of names) {
      const job = actionJob(stepOf(this.definition, name), stateOf(this.current, name).launches);
      void this.perform(name, job);
    }
  }

  private startUndos(): void {
    for (const name of readyUndos(this.definition, this.current)) {
      if (!this.active.has(undoKey(name)))
        void this.perform(undoKey(name), undoJob(stepOf(this.definition, name)));
    }
  }

  private async perform(key: string, job: StepJob): Promise<void> {
    const controller = new AbortController();
    this.active.set(key, controller);
    try {
      if (job.mode === 'undo') await this.awaitLostAction(job);
      await new StepRunner(this, job, controller.signal).run();
    } catch (error) {
      this.crash(error);
    } finally {
      this.active.delete(key);
      this.settle();
    }
  }

  /** The action of a process that was lost may still be under way: its undo waits until that one's time is up. */
  private async awaitLostAction({ step }: StepJob): Promise<void> {
    const { silentMs } = this.saga;
    if (!stateOf(this.current, step.name).interrupted || silentMs === undefined) return;
    const left = step.timeout + this.definition.options.settleGrace - silentMs;
    if (left > 0) await this.clock.delay(left, this.draining);
  }

  /** Once nothing of the saga runs here: tells a fault, or lets go of it in a drain. */
  private settle(): void {
    if (!this.draining.aborted) return;
    this.turn.run(() => this.letGo()).catch((error: unknown) => this.end.reject(error));
  }

  private async letGo(): Promise<void> {
    if (this.active.size > 0 || isEnded(this.written)) return;
    if (this.fault) throw this.fault.error;
    await this.storage.release(this.saga.sagaId, this.saga.epoch);
    this.end.resolve('released');
  }

  private crash(error: unknown): void {
    this.fault ??= { error };
    this.drainer.abort();
    this.abortAll(error);
    this.settle();
  }

  private abortAll(reason: unknown): void {
    for (const controller of this.active.values()) controller.abort(reason);
  }
}

const undoKey = (name: string) => `${name}:undo`;
const isUndo = (key: string) => key.endsWith(':undo');
