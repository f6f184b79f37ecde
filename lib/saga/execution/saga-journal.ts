import type { OutboxRecord } from '../../events/outbox-event.js';
import { Turn } from '../../runtime/turn.js';
import type { SagaDefinition } from '../definition/saga-definition.js';
import type { Appended, ClaimedSaga, SagaStorage, SagaWrite } from '../saga-storage.js';
import { CommitUnknownError, FencedError, SagaCancelledError } from '../state/errors.js';
import { failureOf, type JournalEntry } from '../state/journal.js';
import { isEnded, type SagaStatus } from '../state/saga-status.js';
import { pivotLaunched, reachedStatus, readySteps } from './decisions.js';
import { fold, stateAfter } from './saga-fold.js';
import { endOf } from './saga-result.js';
import { draftOf, launch as launchAll, type SagaState } from './saga-state.js';
import type { Fact, Store } from './fact.js';

/** What the journal asks of the saga's runner, and tells it. */
export interface JournalOwner {
  readonly title: string;
  /** False while nothing new may start here. */
  readonly mayLaunch: boolean;
  /** Steps whose undo is under way. */
  readonly undoing: readonly string[];
  /** A step has succeeded, which this process could not write. */
  lateResult(step: string, text: string | null): void;
  /** After a write is durable. */
  written(write: Written): void;
  /** After a write of which it is not known what became of it: nothing more is written under this claim. */
  lostTrack(error: unknown): void;
}

/** A durable write and what follows from it. */
export interface Written {
  readonly entries: readonly JournalEntry[];
  readonly before: SagaState;
  readonly launch: readonly string[];
  readonly facts: readonly Fact[];
  readonly end: SagaWrite['end'];
  /** When the saga started and ended, where the storage says so. */
  readonly times: Appended['ended'];
  readonly events: readonly OutboxRecord[];
}

interface Change {
  readonly write: SagaWrite;
  readonly facts: readonly Fact[];
  readonly launch: readonly string[];
  readonly next: SagaState;
}

/** The turn of a saga that was cancelled from outside. */
export const CANCELLED: Fact = turnBack(new SagaCancelledError('the saga was cancelled'));

/** A turn back that no step caused. */
export function turnBack(error: Error): Fact {
  const data = JSON.stringify(failureOf(error));
  return { kind: 'compensating', step: null, attempt: 0, data, events: [] };
}

/**
 * The journal of one saga that this process owns: folds what happened into the state and writes it, one write at a
 * time. The state changes only when its write is durable.
 */
export class SagaJournal {
  private current: SagaState;
  /** The status in the database: a parked saga is written as such once its last handler has ended. */
  private stored: SagaStatus;
  private pending: Fact[] = [];
  private fault: { readonly error: unknown } | undefined;
  private readonly turn = new Turn();

  /** @throws DefinitionChangedError when the journal names steps that the definition does not have */
  constructor(
    private readonly saga: ClaimedSaga,
    private readonly definition: SagaDefinition,
    private readonly storage: SagaStorage,
    private readonly owner: JournalOwner,
  ) {
    this.current = stateAfter(definition, saga.launch, saga.journal);
    this.stored = saga.status;
  }

  get state(): SagaState {
    return this.current;
  }

  get hasEnded(): boolean {
    return isEnded(this.stored);
  }

  /** Refuses every write from now on. The first error counts. */
  close(error: unknown): void {
    this.fault ??= { error };
  }

  /** What closed it. */
  get closedBy(): { readonly error: unknown } | undefined {
    return this.fault;
  }

  /** Runs when no write is under way, before the next one. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    return this.turn.run(work);
  }

  /** Makes facts durable; resolves when they are. Those that wait for their turn go together. */
  record(facts: readonly Fact[], store?: Store): Promise<void> {
    if (store) return this.turn.run(() => this.write(facts, store));
    this.pending.push(...facts);
    return this.turn.run(() => this.writePending());
  }

  private writePending(): Promise<void> {
    const batch = this.pending;
    this.pending = [];
    return batch.length === 0 ? Promise.resolve() : this.write(batch);
  }

  /** Inside `alone`. @param again steps of a lost process to launch again */
  write(facts: readonly Fact[], store?: Store, again: readonly string[] = NOTHING): Promise<void> {
    this.requireTrack(facts, store);
    const change = this.fold(facts, again);
    return this.store(change, store, ({ stored, cancelRequested, ended }) => {
      if (!stored) return this.writeTurned(facts, store);
      this.apply(change, ended);
      return cancelRequested && this.mayCancel ? this.write([CANCELLED]) : undefined;
    });
  }

  /** Refused, since somebody wants the saga cancelled. */
  private writeTurned(facts: readonly Fact[], store: Store | undefined): Promise<void> {
    const turned = this.fold([CANCELLED, ...facts], NOTHING);
    return this.store(turned, store, ({ ended }) => this.apply(turned, ended));
  }

  /**
   * Inside `alone`. The end of a wait, which must not miss a signal.
   * @returns false, with nothing written, when there are more signals than these
   */
  writeUnlessSignalled(fact: Fact, signalSeq: number): Promise<boolean> {
    this.requireTrack([fact], undefined);
    const change = this.fold([fact], NOTHING);
    const guarded = { ...change, write: { ...change.write, signalSeq } };
    return this.store(guarded, undefined, ({ stored, ended }) => {
      if (stored) this.apply(change, ended);
      return stored;
    });
  }

  private requireTrack(facts: readonly Fact[], store: Store | undefined): void {
    if (!this.fault) return;
    const message = `${this.owner.title} stopped here by a fault`;
    this.failed(facts, store, new FencedError(message, { cause: this.fault.error }));
  }

  /** Whether the saga can still turn back because somebody wants it to. */
  get mayCancel(): boolean {
    return this.current.status === 'running' && !pivotLaunched(this.current);
  }

  /** Stores a change and does what follows, in one promise: where contexts travel with promises, each one costs. */
  private store<T>(
    { write, facts }: Change,
    store: Store | undefined,
    then: (answer: Appended) => T | Promise<T>,
  ): Promise<T> {
    const stored = store ? store(write) : this.storage.append(write);
    return stored.then(then, (error: unknown) => this.failed(facts, store, error));
  }

  /** A write failed, or was not sent. An ordinary one may have been stored, whatever came of it. */
  private failed(facts: readonly Fact[], store: Store | undefined, error: unknown): never {
    const { owner } = this;
    const fenced = error instanceof FencedError;
    if (!store) for (const { step, data } of lostEffects(facts, fenced)) owner.lateResult(step ?? '', data);
    if (!store || fenced || error instanceof CommitUnknownError) owner.lostTrack(error);
    throw error;
  }

  private apply({ write, facts, launch, next }: Change, times: Appended['ended']): void {
    const before = this.current;
    this.current = next;
    this.stored = write.status ?? this.stored;
    const { entries, events, end } = write;
    this.owner.written({ entries, facts, before, launch, end, times, events });
  }

  /** What the facts change: journal entries, the last one with what it launches, and the state after them. */
  private fold(facts: readonly Fact[], again: readonly string[]): Change {
    const { definition, owner, saga } = this;
    const { sagaId, epoch } = saga;
    const entries: (JournalEntry & { launch: readonly string[] })[] = [];
    const next = draftOf(this.current);
    for (const { kind, step, attempt, data } of facts) {
      const entry = { seq: next.seq + 1, epoch, kind, step, attempt, data, launch: NOTHING };
      fold(definition, next, entry);
      entries.push(entry);
    }
    launchAll(next, again);
    const ready = owner.mayLaunch ? readySteps(definition, next) : NOTHING;
    launchAll(next, ready);
    const launch = again.length === 0 ? ready : [...again, ...ready];
    const last = entries.at(-1);
    if (last) last.launch = launch;
    next.status = reachedStatus(definition, next, () => this.undoingBeside(facts));
    const events = facts.length === 1 ? (facts[0]?.events ?? []) : facts.flatMap((fact) => fact.events);
    const write = {
      sagaId,
      epoch,
      entries,
      events,
      launchesPivot: this.hasPivot(launch),
      ...this.changes(next),
    };
    return { write, facts, launch, next };
  }

  /** Steps whose undo is under way and is not ended by these facts, even if it has to run again. */
  private undoingBeside(facts: readonly Fact[]): readonly string[] {
    const ended = facts.filter(({ kind }) => kind === 'undo_completed' || kind === 'undo_failed');
    return this.owner.undoing.filter((name) => !ended.some(({ step }) => step === name));
  }

  private hasPivot(launch: readonly string[]): boolean {
    const { pivot } = this.definition.graph;
    return pivot !== undefined && launch.includes(pivot);
  }

  /** What changes in the saga's row. */
  private changes(next: SagaState): Pick<SagaWrite, 'status' | 'end'> {
    if (next.status === this.stored) return NO_CHANGE;
    if (!isEnded(next.status)) return { status: next.status, end: undefined };
    // It ends with its last handler.
    if (next.started > 0) return NO_CHANGE;
    return { status: next.status, end: endOf(this.definition, next) };
  }
}

/** Effects that nobody else may know of: another process may have begun to undo these steps. */
function lostEffects(facts: readonly Fact[], fenced: boolean): readonly Fact[] {
  return facts.filter(({ kind }) => kind === 'late_completed' || (fenced && kind === 'step_completed'));
}

const NOTHING: readonly string[] = [];
const NO_CHANGE = { status: undefined, end: undefined };
