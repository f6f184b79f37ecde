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
  /** Its delay is over, or its signal has come: it may start. */
  readonly opened: boolean;
  /** JSON text of the {@link SignalRecord} it waited for. */
  readonly signal: string | null;
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

/** Nothing is left to do of its action. */
export function isDone({ status }: StepState): boolean {
  return status === 'completed' || status === 'skipped';
}

/** What is known of a saga: the fold of its first row and its journal. Never changed, only replaced. */
export interface SagaState {
  readonly definition: SagaDefinition;
  readonly status: SagaStatus;
  readonly seq: number;
  /** In the order of the definition. */
  readonly steps: readonly StepState[];
  /** How many steps are under way, and how many completed or skipped: so that nobody has to count. */
  readonly started: number;
  readonly completed: number;
  /** Steps that were not started and whose predecessors are all completed or skipped. */
  readonly ready: readonly string[];
  /** Why the saga turned back or stopped. */
  readonly failure: FailureRecord | undefined;
  /** The last owner let go of the saga, and said what became of its steps. */
  readonly released: boolean;
}

export const UNTOUCHED: StepState = {
  status: 'not_started',
  outcome: undefined,
  opened: false,
  signal: null,
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

/** A state while it is being changed; nobody else has seen it. */
export type Draft = { -readonly [K in Exclude<keyof SagaState, 'steps'>]: SagaState[K] } & {
  readonly steps: StepState[];
};

/** Copies pointers only. */
export function draftOf(state: SagaState): Draft {
  return { ...state, steps: state.steps.slice() };
}

/**
 * Changes what is known of one step. Looks only at the steps that follow it: a long saga costs no more per step than a
 * short one.
 */
export function changeStep(draft: Draft, name: string, change: (step: StepState) => StepState): void {
  const index = draft.definition.graph.index(name) ?? -1;
  const before = draft.steps[index] ?? UNTOUCHED;
  const after = change(before);
  draft.steps[index] = after;
  if (before.status === after.status) return;
  draft.started += Number(isStarted(after)) - Number(isStarted(before));
  draft.completed += Number(isDone(after)) - Number(isDone(before));
  draft.ready = readyAfter(draft, draft.steps, name);
}

/** Changes every step, for what concerns the saga as a whole. */
export function changeSteps(draft: Draft, change: (name: string, step: StepState) => StepState): void {
  const { definition, steps } = draft;
  const { names } = definition.graph;
  for (const [index, step] of steps.entries()) steps[index] = change(names[index] ?? '', step);
  draft.started = steps.filter(isStarted).length;
  draft.completed = steps.filter(isDone).length;
  draft.ready = names.filter((name) => isReady(definition, steps, name));
}

/** These steps are launched. */
export function launch(draft: Draft, names: readonly string[]): void {
  for (const name of names) {
    changeStep(draft, name, (step) => ({ ...step, status: 'started', launches: step.launches + 1 }));
  }
}

/** The state after these steps were launched. */
export function launchSteps(state: SagaState, names: readonly string[]): SagaState {
  const draft = draftOf(state);
  launch(draft, names);
  return draft;
}

function readyAfter({ definition, ready }: SagaState, steps: readonly StepState[], name: string) {
  const { graph } = definition;
  const step = steps[graph.index(name) ?? -1] ?? UNTOUCHED;
  if (isDone(step)) {
    const fresh = graph.followers(name).filter((follower) => isReady(definition, steps, follower));
    const others = ready.filter((other) => other !== name);
    return fresh.length === 0 && others.length === ready.length ? ready : [...others, ...fresh];
  }
  return ready.includes(name) && step.status !== 'not_started'
    ? ready.filter((other) => other !== name)
    : ready;
}

function isReady({ graph }: SagaDefinition, steps: readonly StepState[], name: string): boolean {
  const step = (other: string) => steps[graph.index(other) ?? -1] ?? UNTOUCHED;
  if (step(name).status !== 'not_started') return false;
  return graph.dependencies(name).every((dependency) => isDone(step(dependency)));
}

function isStarted({ status }: StepState): boolean {
  return status === 'started';
}
