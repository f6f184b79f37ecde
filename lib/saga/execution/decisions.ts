import { stepOf, type SagaDefinition, type StepDefinition } from '../definition/saga-definition.js';
import { transition, type SagaStatus } from '../state/saga-status.js';
import type { StepStatus } from '../state/step-status.js';
import { stateOf, type SagaState } from './saga-state.js';

/**
 * What follows from a saga's state. Pure functions of definition and state: the same for the process that runs the
 * saga, for one that takes it over, and for a test.
 */

/**
 * Steps that may start now: their predecessors are completed, what they waited for has come, and the saga's
 * `concurrency` has room.
 */
export function readySteps(definition: SagaDefinition, state: SagaState): readonly string[] {
  if (state.status !== 'running' || state.ready.length === 0) return [];
  const open = definition.gates.size === 0 ? state.ready : state.ready.filter((name) => isOpen(state, name));
  return open.slice(0, Math.max(0, definition.options.concurrency - state.started));
}

/** Steps whose predecessors are completed and that wait for their time or for a signal. */
export function waitingSteps(state: SagaState): readonly string[] {
  if (state.status !== 'running' || state.definition.gates.size === 0) return [];
  return state.ready.filter((name) => !isOpen(state, name));
}

function isOpen(state: SagaState, name: string): boolean {
  return !state.definition.gates.has(name) || stateOf(state, name).opened;
}

/** Steps whose action is under way, here or in the process that was lost. */
export function running(state: SagaState): readonly string[] {
  if (state.started === 0) return [];
  return state.definition.graph.names.filter((name) => stateOf(state, name).status === 'started');
}

/** The pivot may have happened, or may happen any moment: the saga can no longer be cancelled. */
export function pivotLaunched(state: SagaState): boolean {
  const { pivot } = state.definition.graph;
  return pivot !== undefined && stateOf(state, pivot).status !== 'not_started';
}

/**
 * Steps whose undo may start now. No undo starts while any action is under way; then the compensation graph decides: an
 * undo waits for those before it, near and far, so one that is not needed in between changes nothing. With
 * `onCompensationFailure: 'stop'` none starts after one has given up.
 */
export function readyUndos(definition: SagaDefinition, state: SagaState): readonly string[] {
  if (state.status !== 'compensating' || state.started > 0 || isStopped(definition, state)) return [];
  const open = new Set(openUndos(definition, state));
  const waits = new Map<string, boolean>();
  const { compensations } = definition;
  const waitsFor = (name: string): boolean => {
    const known = waits.get(name);
    if (known !== undefined) return known;
    const waiting = compensations.after(name).some((earlier) => open.has(earlier) || waitsFor(earlier));
    waits.set(name, waiting);
    return waiting;
  };
  return [...open].filter((name) => !waitsFor(name));
}

/** Steps whose undo is called for and has not ended. */
export function openUndos(definition: SagaDefinition, state: SagaState): readonly string[] {
  return definition.graph.names.filter((name) => needsUndo(stepOf(definition, name), state));
}

/** What may have had an effect and is not under way; an operator may have skipped a step that had one. */
const UNDOABLE: ReadonlySet<StepStatus> = new Set(['completed', 'failed', 'skipped']);

function needsUndo(step: StepDefinition, state: SagaState): boolean {
  const { status, outcome } = stateOf(state, step.name);
  if (!step.compensation || outcome === undefined || !UNDOABLE.has(status)) return false;
  if (step.compensateOn === 'always') return true;
  return outcome === 'completed' || (outcome === 'unknown' && step.compensateOn === 'unknown');
}

/** Steps whose undo gave up. */
export function failedUndos(state: SagaState): readonly string[] {
  return state.definition.graph.names.filter((name) => stateOf(state, name).status === 'compensation_failed');
}

function isStopped(definition: SagaDefinition, state: SagaState): boolean {
  return definition.options.onCompensationFailure === 'stop' && failedUndos(state).length > 0;
}

/**
 * The status that the state calls for: the end of the saga, when nothing is left to do.
 * @param undoing gives the steps whose undo is under way
 */
export function reachedStatus(
  definition: SagaDefinition,
  state: SagaState,
  undoing: () => readonly string[] = () => [],
): SagaStatus {
  if (state.started > 0) return state.status;
  if (state.status === 'running') {
    const done = state.completed === state.steps.length;
    return done ? transition(state.status, 'completed') : state.status;
  }
  if (state.status !== 'compensating') return state.status;
  const open = openUndos(definition, state);
  const awaited = isStopped(definition, state) ? new Set(undoing()) : undefined;
  if (open.some((name) => awaited?.has(name) ?? true)) return state.status;
  return transition(state.status, failedUndos(state).length > 0 ? 'failed' : 'compensated');
}

/** Steps that were under way when the saga's process was lost, for the new owner to launch again. */
export function relaunches(state: SagaState): readonly string[] {
  return state.status === 'running' ? running(state) : [];
}
