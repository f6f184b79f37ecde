import type { Clock } from '../../runtime/clock.js';
import { stepOf, type SagaDefinition, type StepDefinition } from '../definition/saga-definition.js';
import type { ClaimedSaga, StoredSignal } from '../saga-storage.js';
import { WaitTimeoutError } from '../state/errors.js';
import { failureOf, type JournalEntry, type JournalKind, type SignalRecord } from '../state/journal.js';
import { waitingSteps } from './decisions.js';
import type { Fact } from './fact.js';
import { stateOf, type SagaState } from './saga-state.js';

/** From then on those that follow a step may wait. */
const DONE: ReadonlySet<JournalKind> = new Set(['step_completed', 'step_skipped']);

/** What waits may lead to now. */
export interface DueGates {
  /** Steps that may start. */
  readonly openings: readonly Fact[];
  /** A step whose signal has not come in time; counts only if every signal has been seen. */
  readonly timeout: Fact | undefined;
}

/**
 * The steps of one saga that wait for their time or for a signal. When a step began to wait follows from the journal: it
 * is the moment in which the last of its predecessors was completed, by the clock of the storage as far as this process
 * has read it from there.
 */
export class Gates {
  /** In the order in which they came. */
  private readonly signals: StoredSignal[];
  /** By the monotonic clock. */
  private readonly completedAt = new Map<string, number>();
  private readonly startedAt: number;
  /** Steps for whose signals this process has looked since they began to wait. */
  private readonly looked = new Set<string>();
  private cancelTimer: (() => void) | undefined;

  constructor(
    private readonly saga: ClaimedSaga,
    private readonly definition: SagaDefinition,
    private readonly clock: Clock,
  ) {
    const now = clock.monotonic();
    this.signals = [...saga.signals];
    this.startedAt = now - saga.ageMs;
    this.note(saga.journal);
  }

  /** How many signals of the saga this process has seen. */
  get known() {
    return { sagaId: this.saga.sagaId, seq: this.signals.at(-1)?.seq ?? 0 };
  }

  /** Entries that are durable: what they completed lets others begin to wait. */
  note(entries: readonly JournalEntry[]): void {
    const now = this.clock.monotonic();
    for (const { kind, step, ageMs = 0 } of entries)
      if (DONE.has(kind) && step !== null) this.completedAt.set(step, now - ageMs);
  }

  add(signals: readonly StoredSignal[]): void {
    const { seq } = this.known;
    this.signals.push(...signals.filter((signal) => signal.seq > seq));
  }

  /** Whether a step has begun to wait for a signal that may be there already. */
  mustLook(state: SagaState): boolean {
    return this.awaiting(state).some(({ name }) => !this.looked.has(name));
  }

  /** The signals of the storage are in: what waits now has been looked for. */
  noteLooked(state: SagaState): void {
    for (const { name } of this.awaiting(state)) this.looked.add(name);
  }

  /** Whether a step waits for a signal. */
  awaits(state: SagaState): boolean {
    return this.awaiting(state).length > 0;
  }

  due(state: SagaState): DueGates {
    const free = this.unconsumed(state);
    const openings: Fact[] = [];
    let timeout: Fact | undefined;
    for (const step of this.waiting(state)) {
      const signal = free.find(({ name }) => name === step.waitFor);
      if (signal) free.splice(free.indexOf(signal), 1);
      const isDue = this.leftMs(step) <= 0;
      if (signal) openings.push(received(step, signal));
      else if (isDue && step.waitFor === undefined) openings.push(fact('timer_fired', step, null));
      else if (isDue) timeout ??= timedOut(step);
    }
    return { openings, timeout };
  }

  /** Milliseconds until something is due; undefined when nothing waits, Infinity when only a signal can end the waits. */
  restMs(state: SagaState): number | undefined {
    const waiting = this.waiting(state);
    if (waiting.length === 0) return undefined;
    return Math.max(0, Math.min(...waiting.map((step) => this.leftMs(step))));
  }

  /** Calls back when the next wait is due. */
  arm(state: SagaState, due: () => void): void {
    this.disarm();
    const restMs = this.restMs(state) ?? Infinity;
    if (restMs < Infinity) this.cancelTimer = this.clock.after(restMs, due);
  }

  disarm(): void {
    this.cancelTimer?.();
    this.cancelTimer = undefined;
  }

  private waiting(state: SagaState): readonly StepDefinition[] {
    return waitingSteps(state).map((name) => stepOf(this.definition, name));
  }

  private awaiting(state: SagaState): readonly StepDefinition[] {
    return this.waiting(state).filter(({ waitFor }) => waitFor !== undefined);
  }

  private leftMs({ dependsOn, delay, waitTimeout }: StepDefinition): number {
    const since = dependsOn.map((name) => this.completedAt.get(name) ?? this.startedAt);
    const limit = delay ?? waitTimeout ?? Infinity;
    return Math.max(this.startedAt, ...since) + limit - this.clock.monotonic();
  }

  /** Each signal starts one step; which ones are used up is in the journal. */
  private unconsumed(state: SagaState): StoredSignal[] {
    const used = new Set<string>();
    for (const name of this.definition.gates) {
      const { signal } = stateOf(state, name);
      if (signal !== null) used.add((JSON.parse(signal) as SignalRecord).id);
    }
    return this.signals.filter(({ id }) => !used.has(id));
  }
}

function received(step: StepDefinition, { id, payload }: StoredSignal): Fact {
  return fact('signal_received', step, `{"id":${JSON.stringify(id)},"payload":${payload}}`);
}

function timedOut(step: StepDefinition): Fact {
  const message = `${step.place}: the signal "${step.waitFor}" did not come within ${step.waitTimeout} ms`;
  const failure = { ...failureOf(new WaitTimeoutError(message), step.name), outcome: 'failed' };
  return fact('step_failed', step, JSON.stringify(failure));
}

function fact(kind: Fact['kind'], { name: step }: StepDefinition, data: string | null): Fact {
  return { kind, step, attempt: 0, data, events: [] };
}
