import type { SagaDefinition } from '../definition/saga-definition.js';
import type { FailureRecord } from '../state/journal.js';
import type { SagaStatus } from '../state/saga-status.js';
import type { Outcome, StepStatus } from '../state/step-status.js';

/** A long back-off before the next attempt of an action or undo. */
export interface Pause {
  /** Milliseconds that were left of it when its entry was read; all of it where it was written. */
  readonly leftMs: number;
  /** Milliseconds from the beginning of the first attempt to the end of the pause. */
  readonly elapsedMs: number;
}

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
  /** Undefined outside a long back-off. */
  readonly pause: Pause | undefined;
  /** Attempts of its undo that are in the journal. */
  readonly undoAttempts: number;
  /** Results that came after its undo had begun. */
  readonly lates: number;
  /** Why its undo gave up. */
  readonly undoFailure: FailureRecord | undefined;
}

/** What is known of a saga: the fold of its first row and its journal. Never changed, only replaced. */
export interface SagaState {
  readonly definition: SagaDefinition;
  readonly status: SagaStatus;
  readonly seq: number;
  /** In the order of the definition. */
  readonly steps: readonly StepState[];
  /** How many steps are under way, and how many completed: so that nobody has to count. */
  readonly started: number;
  readonly completed: number;
  /** Steps that were not started and whose predecessors are all completed. */
  readonly ready: readonly string[];
  /** Why the saga turned back or stopped. */
  readonly failure: FailureRecord | undefined;
  /** The last owner let go of the saga, and said what became of its steps. */
  readonly released: boolean;
}

export const UNTOUCHED: StepState = {
  status: 'not_started',
  outcome: undefined,
  launches: 0,
  result: null,
  interrupted: false,
  pause: undefined,
  undoAttempts: 0,
  lates: 0,
  undoFailure: undefined,
};

/** The state of a saga of which nothing was started. */
export function untouched(definition: SagaDefinition): SagaState {
  const { names, roots } = definition.graph;
  const steps = names.map(() => UNTOUCHED);
  const counts = { started: 0, completed: 0, ready: roots };
  return { definition, status: 'running', seq: 0, steps, ...counts, failure: undefined, released: false };
}

/** What is known of a step; of one that this definition does not have, nothing. */
export function stateOf(state: SagaState, name: string): StepState {
  return state.steps[state.definition.graph.index(name) ?? -1] ?? UNTOUCHED;
}

/**
 * The state with other facts about one step. Copies an array of pointers, and looks only at the steps that follow this
 * one: a long saga costs no more per step than a short one.
 */
export function withStep(state: SagaState, name: string, change: (step: StepState) => StepState): SagaState {
  const index = state.definition.graph.index(name) ?? -1;
  const before = state.steps[index] ?? UNTOUCHED;
  const after = change(before);
  const steps = state.steps.slice();
  steps[index] = after;
  if (before.status === after.status) return { ...state, steps };
  return {
    ...state,
    steps,
    started: state.started + count(after, 'started') - count(before, 'started'),
    completed: state.completed + count(after, 'completed') - count(before, 'completed'),
    ready: readyAfter(state, steps, name),
  };
}

/** The state with every step mapped, for what concerns the saga as a whole. */
export function mapSteps(state: SagaState, map: (name: string, step: StepState) => StepState): SagaState {
  const { definition } = state;
  const { names } = definition.graph;
  const steps = state.steps.map((step, index) => map(names[index] ?? '', step));
  return {
    ...state,
    steps,
    started: steps.filter(({ status }) => status === 'started').length,
    completed: steps.filter(({ status }) => status === 'completed').length,
    ready: names.filter((name) => isReady(definition, steps, name)),
  };
}

/** The state after these steps were launched. */
export function launchSteps(state: SagaState, names: readonly string[]): SagaState {
  let next = state;
  for (const name of names) {
    next = withStep(next, name, (step) => ({ ...step, status: 'started', launches: step.launches + 1 }));
  }
  return next;
}

function readyAfter({ definition, ready }: SagaState, steps: readonly StepState[], name: string) {
  const { graph } = definition;
  const { status } = steps[graph.index(name) ?? -1] ?? UNTOUCHED;
  if (status === 'completed') {
    const fresh = graph.followers(name).filter((follower) => isReady(definition, steps, follower));
    return fresh.length === 0 ? ready : [...ready, ...fresh];
  }
  return ready.includes(name) && status !== 'not_started' ? ready.filter((other) => other !== name) : ready;
}

function isReady({ graph }: SagaDefinition, steps: readonly StepState[], name: string): boolean {
  const status = (other: string) => steps[graph.index(other) ?? -1]?.status;
  if (status(name) !== 'not_started') return false;
  return graph.dependencies(name).every((dependency) => status(dependency) === 'completed');
}

function count({ status }: StepState, wanted: StepStatus): number {
  return status === wanted ? 1 : 0;
}
