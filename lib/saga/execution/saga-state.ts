import { stepOf, type SagaDefinition } from '../definition/saga-definition.js';
import { DefinitionChangedError } from '../state/errors.js';
import type { FailureRecord, JournalEntry, ReleaseRecord } from '../state/journal.js';
import { transition, type SagaStatus } from '../state/saga-status.js';
import { worseOutcome, type Outcome, type StepStatus } from '../state/step-status.js';

/** What is known of one step. */
export interface StepState {
  readonly status: StepStatus;
  /** The worst of all attempts that ended; undefined while none has. */
  readonly outcome: Outcome | undefined;
  /** How often it was launched, less those that were no attempt. */
  readonly launches: number;
  /** JSON text of its result, once completed. */
  readonly result: string | null;
  /** A process was lost while it ran: until its time is up, that attempt may still be under way somewhere. */
  readonly interrupted: boolean;
}

/** What is known of a saga: the fold of its first row and its journal. Never changed, only replaced. */
export interface SagaState {
  readonly status: SagaStatus;
  readonly seq: number;
  readonly steps: Readonly<Record<string, StepState>>;
  /** Why the saga turned back or stopped. */
  readonly failure: FailureRecord | undefined;
  /** Undos that gave up. */
  readonly undoFailures: readonly FailureRecord[];
  /** The last owner let go of the saga, and said what became of its steps. */
  readonly released: boolean;
}

const UNTOUCHED: StepState = {
  status: 'not_started',
  outcome: undefined,
  launches: 0,
  result: null,
  interrupted: false,
};

/** The state of a saga whose first row launched these steps. */
export function initialState(definition: SagaDefinition, launch: readonly string[]): SagaState {
  const steps = Object.fromEntries([...definition.steps.keys()].map((name) => [name, UNTOUCHED]));
  const state: SagaState = {
    status: 'running',
    seq: 0,
    steps,
    failure: undefined,
    undoFailures: [],
    released: false,
  };
  for (const name of launch) requireStep(definition, name);
  return launchSteps(state, launch);
}

/**
 * The state after one more entry. The runner and a takeover both come here, so both see the same.
 * @throws DefinitionChangedError when the entry is about a step that the definition does not have
 */
export function applyEntry(definition: SagaDefinition, state: SagaState, entry: JournalEntry): SagaState {
  for (const name of [...(entry.step === null ? [] : [entry.step]), ...entry.launch])
    requireStep(definition, name);
  return launchSteps({ ...change(definition, state, entry), seq: entry.seq }, entry.launch);
}

function change(definition: SagaDefinition, state: SagaState, entry: JournalEntry): SagaState {
  switch (entry.kind) {
    case 'resumed':
      return interrupt(definition, state);
    case 'released':
      return withoutAttempts(definition, state, dataOf<ReleaseRecord>(entry));
    case 'compensating':
      return giveUp(definition, state, entry);
    case 'probed':
      return settle(state, entry, dataOf<Pick<StepState, 'outcome' | 'result' | 'interrupted'>>(entry));
    case 'step_completed':
      return settle(state, entry, {
        status: 'completed',
        outcome: 'completed',
        result: entry.data,
        interrupted: false,
      });
    case 'step_failed':
      return stepFailed(definition, state, entry);
    case 'undo_completed':
      return settle(state, entry, { status: 'compensated' });
    case 'undo_failed':
      return {
        ...settle(state, entry, { status: 'compensation_failed' }),
        undoFailures: [...state.undoFailures, dataOf<FailureRecord>(entry)],
      };
  }
}

function stepFailed(definition: SagaDefinition, state: SagaState, entry: JournalEntry): SagaState {
  const attempt = dataOf<FailureRecord>(entry).outcome ?? 'unknown';
  const outcome = worseOutcome(stateOf(state, entry.step ?? '').outcome ?? 'failed', attempt);
  return giveUp(definition, settle(state, entry, { status: 'failed', outcome }), entry);
}

/**
 * The saga cannot go on as planned. Before the pivot it turns back; so it does when the pivot is known to have had no
 * effect. Else nothing may be undone any more: it is parked for an operator.
 */
function giveUp(definition: SagaDefinition, state: SagaState, entry: JournalEntry): SagaState {
  const failure = dataOf<FailureRecord>(entry);
  const phase = entry.step === null ? 'before' : definition.graph.phase(entry.step);
  const known = stateOf(state, entry.step ?? '').outcome;
  const status = phase === 'before' || (phase === 'pivot' && known === 'failed') ? 'compensating' : 'parked';
  if (state.status === 'compensating') return state;
  return { ...state, status: transition(state.status, status), failure: state.failure ?? failure };
}

/**
 * The process that ran the saga was lost. Going forward, its unfinished steps stay started until they are launched
 * again; otherwise they count as ended, with what is known of them.
 */
function interrupt(definition: SagaDefinition, state: SagaState): SagaState {
  const status = state.status === 'running' ? 'started' : 'failed';
  const next = mapSteps(state, (name, step) => {
    if (step.status !== 'started') return step;
    if (state.released) return { ...step, status };
    const { transactional } = stepOf(definition, name);
    return { ...step, status, outcome: lostOutcome(step, transactional), interrupted: !transactional };
  });
  return { ...next, released: false };
}

/** A process let go of the saga: what it cut short or never began was no attempt. */
function withoutAttempts(
  definition: SagaDefinition,
  state: SagaState,
  { unrun, cut }: ReleaseRecord,
): SagaState {
  const next = mapSteps(state, (name, step) => {
    const launches = step.launches - 1;
    const untouched = launches === 0 && step.outcome === undefined;
    if (unrun.includes(name)) return { ...step, launches, status: untouched ? 'not_started' : 'started' };
    if (!cut.includes(name)) return step;
    return { ...step, launches, outcome: lostOutcome(step, stepOf(definition, name).transactional) };
  });
  return { ...next, released: true };
}

/** A transaction that left no entry did not commit; any other attempt may have had its effect. */
function lostOutcome(step: StepState, transactional: boolean): Outcome {
  return worseOutcome(step.outcome ?? 'failed', transactional ? 'failed' : 'unknown');
}

function mapSteps(state: SagaState, map: (name: string, step: StepState) => StepState): SagaState {
  const steps = Object.entries(state.steps).map(([name, step]) => [name, map(name, step)] as const);
  return { ...state, steps: Object.fromEntries(steps) };
}

function settle(state: SagaState, entry: JournalEntry, facts: Partial<StepState>): SagaState {
  const name = entry.step ?? '';
  return { ...state, steps: { ...state.steps, [name]: { ...stateOf(state, name), ...facts } } };
}

/** The state after these steps were launched. */
export function launchSteps(state: SagaState, names: readonly string[]): SagaState {
  if (names.length === 0) return state;
  const changes = names.map((name) => {
    const step = stateOf(state, name);
    return [name, { ...step, status: 'started', launches: step.launches + 1 }] as const;
  });
  return { ...state, steps: { ...state.steps, ...Object.fromEntries(changes) } };
}

/** What is known of a step; of one that this definition does not have, nothing. */
export function stateOf(state: SagaState, name: string): StepState {
  return state.steps[name] ?? UNTOUCHED;
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
