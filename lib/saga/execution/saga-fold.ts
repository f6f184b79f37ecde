import { stepOf, type SagaDefinition } from '../definition/saga-definition.js';
import { DefinitionChangedError } from '../state/errors.js';
import type {
  FailureRecord,
  JournalEntry,
  JournalKind,
  PauseRecord,
  ReleaseRecord,
  UndoneRecord,
} from '../state/journal.js';
import { transition } from '../state/saga-status.js';
import { worseOutcome, type Outcome } from '../state/step-status.js';
import { AGAIN, lostOutcome, OPERATOR_CHANGES, type Change } from './operator-changes.js';
import {
  changeStep,
  changeSteps,
  draftOf,
  launch,
  launchSteps,
  stateOf,
  untouched,
  type Draft,
  type SagaState,
  type StepState,
} from './saga-state.js';

/**
 * The state of a saga whose first row launched these steps.
 * @throws DefinitionChangedError when the definition does not have one of them
 */
export function initialState(definition: SagaDefinition, launch: readonly string[]): SagaState {
  for (const name of launch) requireStep(definition, name);
  return launchSteps(untouched(definition), launch);
}

/** The state that a whole journal leads to. @throws DefinitionChangedError when it names steps that the definition does not have */
export function stateAfter(
  definition: SagaDefinition,
  launch: readonly string[],
  journal: readonly JournalEntry[],
): SagaState {
  const first = initialState(definition, launch);
  return journal.reduce((state, entry) => applyEntry(definition, state, entry), first);
}

/**
 * The state after one more entry. The runner and a takeover both come here, so both see the same.
 * @throws DefinitionChangedError when the entry is about a step that the definition does not have
 */
export function applyEntry(definition: SagaDefinition, state: SagaState, entry: JournalEntry): SagaState {
  const draft = draftOf(state);
  fold(definition, draft, entry);
  return draft;
}

/** The same, for several entries in a row. */
export function fold(definition: SagaDefinition, draft: Draft, entry: JournalEntry): void {
  if (entry.step !== null) requireStep(definition, entry.step);
  for (const name of entry.launch) requireStep(definition, name);
  CHANGES[entry.kind](definition, draft, entry);
  launch(draft, entry.launch);
  draft.seq = entry.seq;
}

/** What each kind of entry changes. */
const CHANGES: Readonly<Record<JournalKind, Change>> = {
  resumed: interrupt,
  released: (definition, draft, entry) => withoutAttempts(definition, draft, dataOf<ReleaseRecord>(entry)),
  compensating: giveUp,
  probed: (_, draft, entry) => {
    const found = dataOf<Pick<StepState, 'outcome' | 'result' | 'interrupted'>>(entry);
    changeStep(draft, entry.step ?? '', (step) => ({ ...step, ...found }));
  },
  timer_fired: opened,
  signal_received: opened,
  step_completed: stepCompleted,
  step_retrying: (_, draft, entry) => retrying(draft, entry),
  step_failed: stepFailed,
  late_completed: (_, draft, entry) => lateCompleted(draft, entry),
  undo_retrying: (_, draft, entry) => retrying(draft, entry),
  undo_completed: (_, draft, entry) => undoEnded(draft, entry),
  undo_failed: (_, draft, entry) => undoEnded(draft, entry),
  ...OPERATOR_CHANGES,
};

/** What the step waited for has come: with a signal, its {@link SignalRecord}. */
function opened(_: SagaDefinition, draft: Draft, { step: name, data: signal }: JournalEntry): void {
  changeStep(draft, name ?? '', (step) => ({ ...step, opened: true, signal }));
}

function stepCompleted(_: SagaDefinition, draft: Draft, { step: name, data: result }: JournalEntry): void {
  const completed = {
    status: 'completed',
    outcome: 'completed',
    interrupted: false,
    pause: undefined,
  } as const;
  changeStep(draft, name ?? '', (step) => ({ ...step, ...completed, result }));
}

function retrying(draft: Draft, entry: JournalEntry): void {
  const name = entry.step ?? '';
  const pause = pauseOf(entry);
  const { attempt } = entry;
  changeStep(draft, name, (step) =>
    entry.kind === 'undo_retrying'
      ? { ...step, undoAttempts: attempt, pause }
      : { ...step, outcome: outcomeAfter(step, entry), launches: attempt, pause },
  );
}

function stepFailed(definition: SagaDefinition, draft: Draft, entry: JournalEntry): void {
  changeStep(draft, entry.step ?? '', (step) => ({
    ...{ ...step, status: 'failed', outcome: outcomeAfter(step, entry), pause: undefined },
  }));
  giveUp(definition, draft, entry);
}

/** The worst of what was known and what this attempt tells. */
function outcomeAfter(step: StepState, entry: JournalEntry): Outcome {
  return worseOutcome(step.outcome ?? 'failed', dataOf<FailureRecord>(entry).outcome ?? 'unknown');
}

/** An entry that was read is some time old, and so is its pause. */
function pauseOf(entry: JournalEntry): StepState['pause'] {
  const { delayMs, elapsedMs } = dataOf<PauseRecord>(entry);
  return { leftMs: delayMs - (entry.ageMs ?? 0), elapsedMs: elapsedMs + delayMs };
}

/**
 * The saga cannot go on as planned. Before the pivot it turns back; so it does when the pivot is known to have had no
 * effect. Else nothing may be undone any more: it is parked for an operator.
 */
function giveUp(definition: SagaDefinition, draft: Draft, entry: JournalEntry): void {
  if (draft.status === 'compensating') return;
  const phase = entry.step === null ? 'before' : definition.graph.phase(entry.step);
  const known = stateOf(draft, entry.step ?? '').outcome;
  const status = phase === 'before' || (phase === 'pivot' && known === 'failed') ? 'compensating' : 'parked';
  draft.status = transition(draft.status, status);
  draft.failure ??= dataOf<FailureRecord>(entry);
}

/** An effect that showed only when its step had been given up: its undo runs (again), also after the saga's end. */
function lateCompleted(draft: Draft, entry: JournalEntry): void {
  changeStep(draft, entry.step ?? '', (step) => ({
    ...(step.undoFailure || step.status === 'compensated' ? { ...step, ...AGAIN } : step),
    outcome: 'completed',
    result: entry.data,
    lates: step.lates + 1,
    interrupted: false,
    pause: undefined,
  }));
  const ended = draft.status === 'compensated' || draft.status === 'failed';
  if (ended) draft.status = transition(draft.status, 'compensating');
}

/** An undo that did not know of the latest result has not undone it. */
function undoEnded(draft: Draft, entry: JournalEntry): void {
  const seen = dataOf<Partial<UndoneRecord>>(entry).lates ?? 0;
  changeStep(draft, entry.step ?? '', (before) => {
    const step = { ...before, pause: undefined };
    if (seen < step.lates) return { ...step, ...AGAIN };
    if (entry.kind === 'undo_completed') return { ...step, status: 'compensated' };
    return { ...step, status: 'compensation_failed', undoFailure: dataOf<FailureRecord>(entry) };
  });
}

/**
 * The process that ran the saga was lost. Going forward, its unfinished steps stay started until they are launched
 * again; otherwise they count as ended, with what is known of them. A step in a long back-off was not running.
 */
function interrupt(definition: SagaDefinition, draft: Draft): void {
  const { released } = draft;
  const forward = draft.status === 'running';
  changeSteps(draft, (name, step) => {
    if (step.status !== 'started') return step;
    const settled = forward ? step : ({ ...step, status: 'failed', pause: undefined } as const);
    if (released || (step.pause?.leftMs ?? 0) > 0) return settled;
    const { transactional } = stepOf(definition, name);
    return { ...settled, outcome: lostOutcome(step, transactional), interrupted: !transactional };
  });
  draft.released = false;
}

/** A process let go of the saga: what it cut short or never began was no attempt. */
function withoutAttempts(definition: SagaDefinition, draft: Draft, { unrun, cut }: ReleaseRecord): void {
  changeSteps(draft, (name, step) => {
    const launches = step.launches - 1;
    const fresh = launches === 0 && step.outcome === undefined;
    if (unrun.includes(name)) return { ...step, launches, status: fresh ? 'not_started' : 'started' };
    if (!cut.includes(name)) return step;
    return { ...step, launches, outcome: lostOutcome(step, stepOf(definition, name).transactional) };
  });
  draft.released = true;
}

function dataOf<T>(entry: JournalEntry): T {
  return JSON.parse(entry.data ?? '{}') as T;
}

function requireStep({ name, version, steps }: SagaDefinition, step: string): void {
  if (steps.has(step)) return;
  throw new DefinitionChangedError(
    `version ${version} of saga "${name}" has no step "${step}", but the saga was started with it; ` +
      'register the definition it was started with, and give the changed one a new version',
  );
}
