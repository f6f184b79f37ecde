import { stepOf, type SagaDefinition, type StepDefinition } from '../definition/saga-definition.js';
import { transition, type SagaStatus } from '../state/saga-status.js';
import { stateOf, type SagaState } from './saga-state.js';

/**
 * What follows from a saga's state. Pure functions of definition and state: the same for the process that runs the
 * saga, for one that takes it over, and for a test.
 */

/** Steps that may start now: their predecessors are completed and the saga's `concurrency` has room. */
export function readySteps(definition: SagaDefinition, state: SagaState): readonly string[] {
  if (state.status !== 'running') return [];
  const room = definition.options.concurrency - running(state).length;
  const ready = definition.graph.names.filter(
    (name) =>
      stateOf(state, name).status === 'not_started' &&
      definition.graph
        .dependencies(name)
        .every((dependency) => stateOf(state, dependency).status === 'completed'),
  );
  return ready.slice(0, Math.max(0, room));
}

/** Steps whose action is under way, here or in the process that was lost. */
export function running(state: SagaState): readonly string[] {
  return Object.keys(state.steps).filter((name) => stateOf(state, name).status === 'started');
}

/**
 * Steps whose undo may start now. No undo starts while any action is under way; then the compensation graph decides: an
 * undo waits for those before it, near and far, so one that is not needed in between changes nothing.
 */
export function readyUndos(definition: SagaDefinition, state: SagaState): readonly string[] {
  if (state.status !== 'compensating' || running(state).length > 0) return [];
  const open = openUndos(definition, state);
  return open.filter((name) => !open.some((other) => definition.compensations.predecessors(name).has(other)));
}

function openUndos(definition: SagaDefinition, state: SagaState): readonly string[] {
  return definition.graph.names.filter((name) => needsUndo(stepOf(definition, name), state));
}

function needsUndo(step: StepDefinition, state: SagaState): boolean {
  const { status, outcome } = stateOf(state, step.name);
  if (!step.compensation || (status !== 'completed' && status !== 'failed')) return false;
  if (step.compensateOn === 'always') return true;
  return outcome === 'completed' || (outcome === 'unknown' && step.compensateOn === 'unknown');
}

/** The status that the state calls for: the end of the saga, when nothing is left to do. */
export function reachedStatus(definition: SagaDefinition, state: SagaState): SagaStatus {
  if (running(state).length > 0) return state.status;
  if (state.status === 'running') {
    const done = definition.graph.names.every((name) => stateOf(state, name).status === 'completed');
    return done ? transition(state.status, 'completed') : state.status;
  }
  if (state.status !== 'compensating' || openUndos(definition, state).length > 0) return state.status;
  return transition(state.status, state.undoFailures.length > 0 ? 'failed' : 'compensated');
}

/** Steps that were under way when the saga's process was lost, for the new owner to launch again. */
export function relaunches(state: SagaState): readonly string[] {
  return state.status === 'running' ? running(state) : [];
}
