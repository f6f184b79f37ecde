import type { Clock } from '../../runtime/clock.js';
import { traceIdOf } from '../../runtime/trace-parent.js';
import type { SagazEventName, SagazEvents, Telemetry } from '../../runtime/telemetry.js';
import type { ClaimedSaga } from '../saga-storage.js';
import type { FailureRecord, JournalEntry, JournalKind } from '../state/journal.js';
import { isEnded } from '../state/saga-status.js';
import type { Written } from './saga-journal.js';
import type { SagaFailure } from './saga-result.js';
import { stateOf, type SagaState } from './saga-state.js';
import type { StepJob } from './step-job.js';

type AttemptEvent = 'step.completed' | 'step.failed' | 'undo.completed' | 'undo.failed' | 'undo.repeated';

/** Events of journal entries. What is missing here is told in another way, or to nobody. */
const EVENTS: Readonly<Partial<Record<JournalKind, AttemptEvent>>> = {
  step_completed: 'step.completed',
  step_failed: 'step.failed',
  undo_completed: 'undo.completed',
  undo_failed: 'undo.failed',
  late_completed: 'undo.repeated',
};

/** A failed attempt that is followed by another one. */
export interface Retrying extends Pick<SagazEvents['step.retrying'], 'attempt' | 'durationMs' | 'outcome'> {
  readonly code: string;
}

/** Tells what happens to one saga, once it is durable. Nothing that a listener does comes back here. */
export class SagaReporter {
  private readonly claimedAt: number;
  private identity: ReturnType<typeof identityOf> | undefined;

  constructor(
    private readonly saga: ClaimedSaga,
    private readonly telemetry: Telemetry,
    private readonly clock: Clock,
  ) {
    this.claimedAt = clock.monotonic();
  }

  /** This process begins to run the saga. */
  begun(state: SagaState): void {
    const { journal, epoch, launch } = this.saga;
    const fresh = journal.length === 0 && (epoch === 1 || launch.length === 0);
    this.telemetry.emit(fresh ? 'saga.started' : 'saga.resumed', () => this.who());
    // A late result has reopened it: its entry came with the claim.
    const last = journal.at(-1);
    if (last?.kind === 'late_completed' && last.epoch === epoch)
      this.attempt('undo.repeated', { entry: last, durationMs: 0, after: state });
  }

  fenced(message: string): void {
    this.telemetry.emit('saga.fenced', () => ({ message, ...this.who() }));
  }

  waiting(): void {
    this.telemetry.emit('saga.waiting', () => this.who());
  }

  overdue(code: string): void {
    this.telemetry.emit('saga.overdue', () => ({ code, standing: [], ...this.who() }));
  }

  attemptBegins({ mode, step }: StepJob, attempt: number): void {
    if (mode === 'undo') return;
    this.telemetry.emit('step.started', () => ({ step: step.name, attempt, ...this.of() }));
  }

  retrying({ mode, step }: StepJob, how: Retrying): void {
    const name = mode === 'undo' ? 'undo.retrying' : 'step.retrying';
    this.telemetry.emit(name, () => ({ step: step.name, ...how, ...this.of() }));
  }

  written({ entries, facts, before, end }: Written, after: SagaState): void {
    for (const [index, entry] of entries.entries()) {
      const event = EVENTS[entry.kind];
      if (event) this.attempt(event, { entry, durationMs: facts[index]?.durationMs ?? 0, after });
    }
    if (before.status !== 'compensating' && after.status === 'compensating')
      this.telemetry.emit('saga.compensating', () => this.who());
    if (end) this.ended(after, end.error);
  }

  private attempt(event: AttemptEvent, { entry, durationMs, after }: Told): void {
    this.telemetry.emit(event, () => {
      const { step, attempt, kind, data } = entry;
      const name = step ?? '';
      const failed = kind === 'step_failed' || kind === 'undo_failed';
      const code = failed ? (JSON.parse(data ?? '{}') as Partial<FailureRecord>).code : undefined;
      const { outcome = 'failed' } = stateOf(after, name);
      const { sagaId, saga, correlationId, traceId } = this.who();
      return { step: name, attempt, durationMs, outcome, code, sagaId, saga, correlationId, traceId };
    });
  }

  private ended({ status }: SagaState, error: string | null): void {
    if (!isEnded(status)) return;
    const durationMs = this.saga.ageMs + this.clock.monotonic() - this.claimedAt;
    const name: SagazEventName = `saga.${status}`;
    this.telemetry.emit(name, () => {
      const { code = '', standing = [] } = (JSON.parse(error ?? 'null') as Partial<SagaFailure> | null) ?? {};
      const { sagaId, saga, version, correlationId, traceId } = this.who();
      const known = status === 'completed' ? undefined : code;
      const ended = { durationMs, code: known, sagaId, saga, version, correlationId, traceId };
      return status === 'failed' || status === 'parked' ? { ...ended, code, standing } : ended;
    });
  }

  private who() {
    return (this.identity ??= identityOf(this.saga));
  }

  private of() {
    const { sagaId, saga, correlationId, traceId } = this.who();
    return { sagaId, saga, correlationId, traceId };
  }
}

/** What the events of one saga say of it. */
export function identityOf({ sagaId, name, version, correlationId, headers }: ClaimedSaga) {
  return { sagaId, saga: name, version, correlationId, traceId: traceIdOf(headers) };
}

interface Told {
  readonly entry: JournalEntry;
  readonly durationMs: number;
  readonly after: SagaState;
}
