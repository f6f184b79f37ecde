import { stepOf, type SagaDefinition, type StepDefinition } from '../definition/saga-definition.js';
import type { FailureRecord, JournalEntry } from '../state/journal.js';
import { transition, type SagaStatus } from '../state/saga-status.js';
import { worseOutcome, type Outcome, type StepStatus } from '../state/step-status.js';

/** What is known of one step. */
export interface StepState {
  readonly status: StepStatus;
  /** The worst of all attempts that ended; undefined while none has. */
  readonly outcome: Outcome | undefined;
  /** How often it was launched. */
  readonly launches: number;
  /** JSON text of its result, once completed. */
  readonly result: string | null;
  /** True when a process lost it while it was running: the action may still be under way somewhere. */
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
  return launchSteps({ status: 'running', seq: 0, steps, failure: undefined, undoFailures: [] }, launch);
}

/** The state after one more entry. The runner and a takeover both come here, so both see the same. */
export function applyEntry(definition: SagaDefinition, state: SagaState, entry: JournalEntry): SagaState {
  const next = { ...change(definition, state, entry), seq: entry.seq };
  return launchSteps(next, entry.launch);
}

function change(definition: SagaDefinition, state: SagaState, entry: JournalEntry): SagaState {
  switch (entry.kind) {
    case 'resumed':
      return interrupt(definition, state);
    case 'compensating':
      return giveUp(definition, state, entry);
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
        undoFailures: [...state.undoFailures, failureIn(entry)],
      };
  }
}

function stepFailed(definition: SagaDefinition, state: SagaState, entry: JournalEntry): SagaState {
  const name = entry.step ?? '';
  const attempt = failureIn(entry).outcome ?? 'unknown';
  const outcome = worseOutcome(stateOf(state, name).outcome ?? 'failed', attempt);
  return giveUp(definition, settle(state, entry, { status: 'failed', outcome }), entry);
}

/**
 * The saga cannot go on as planned. Before the pivot it turns back; so it does when the pivot is known to have had no
 * effect. Else nothing may be undone any more: it is parked for an operator.
 */
function giveUp(definition: SagaDefinition, state: SagaState, entry: JournalEntry): SagaState {
  const failure = failureIn(entry);
  const name = entry.step ?? '';
  const phase = definition.steps.has(name) ? definition.graph.phase(name) : 'before';
  const undoable = phase === 'before' || (phase === 'pivot' && stateOf(state, name).outcome === 'failed');
  if (undoable) return turnBack(state, failure);
  return { ...state, status: transition(state.status, 'parked'), failure: state.failure ?? failure };
}

/** Steps that were running when their process was lost. A transactional one that left no entry did not commit. */
function interrupt(definition: SagaDefinition, state: SagaState): SagaState {
  const steps = Object.entries(state.steps).map(([name, step]) =>
    step.status === 'started'
      ? ([name, lost(stepOf(definition, name), step)] as const)
      : ([name, step] as const),
  );
  return { ...state, steps: Object.fromEntries(steps) };
}

function lost(definition: StepDefinition, step: StepState): StepState {
  const outcome = definition.transactional ? 'failed' : worseOutcome(step.outcome ?? 'failed', 'unknown');
  return { ...step, status: 'failed', outcome, interrupted: !definition.transactional };
}

function turnBack(state: SagaState, failure: FailureRecord): SagaState {
  if (state.status === 'compensating') return state;
  return { ...state, status: transition(state.status, 'compensating'), failure: state.failure ?? failure };
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

function failureIn(entry: JournalEntry): FailureRecord {
  return entry.data === null
    ? { code: 'ERROR', message: 'unknown' }
    : (JSON.parse(entry.data) as FailureRecord);
}
