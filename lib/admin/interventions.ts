import { didYouMean } from '../runtime/did-you-mean.js';
import type { SagaDefinition } from '../saga/definition/saga-definition.js';
import { failedUndos, openUndos, waitingSteps } from '../saga/execution/decisions.js';
import { applyEntry } from '../saga/execution/saga-fold.js';
import { stateOf, type SagaState, type StepState } from '../saga/execution/saga-state.js';
import type { Intervention } from '../saga/intervention-storage.js';
import type { AdminAction } from '../saga/state/audit.js';
import { IllegalTransitionError, SagaCancelledError, SagaInputError } from '../saga/state/errors.js';
import { failureOf, type OperatorRecord } from '../saga/state/journal.js';
import { transition, type SagaStatus } from '../saga/state/saga-status.js';

/** Actions that change a saga by entries of its journal. */
export type SagaIntervention = Extract<AdminAction, 'retry' | 'skip' | 'resolve' | 'compensate' | 'resume'>;

/** A saga as it was read. */
export interface SagaCase {
  readonly sagaId: string;
  readonly status: SagaStatus;
  /** 0: nobody has ever run it. */
  readonly epoch: number;
  readonly cancelRequested: boolean;
  readonly definition: SagaDefinition;
  /** What its journal says; where a saga was parked without an entry, it is not `parked`. */
  readonly state: SagaState;
  /** The one that the action is about. */
  readonly step: string | undefined;
}

export type Decision = Pick<Intervention, 'entries' | 'status' | 'launchesPivot'>;

type Entries = readonly Omit<Intervention['entries'][number], 'data'>[];
type Rule = (saga: SagaCase) => Entries;

const FORWARD: ReadonlySet<SagaStatus> = new Set(['running', 'waiting', 'parked']);

/**
 * What an action writes, and what its saga is then. The same in every process, whether it has the code of the saga or not.
 * @throws IllegalTransitionError when the state does not allow it; SagaInputError for a step that is not there
 */
export function decide(action: SagaIntervention, saga: SagaCase, by: OperatorRecord): Decision {
  const { definition, step } = saga;
  if (step !== undefined && !definition.steps.has(step))
    throw new SagaInputError(
      `step: saga "${definition.name}" has no step "${step}"${didYouMean(step, definition.steps.keys())}`,
    );
  const data = action === 'compensate' ? JSON.stringify(failureOf(turnedBack(by))) : JSON.stringify(by);
  const entries = RULES[action](saga).map((entry) => ({ ...entry, data }));
  const after = entries.reduce(
    (state, entry) =>
      applyEntry(definition, state, { ...entry, seq: state.seq + 1, epoch: 0, attempt: 0, launch: [] }),
    saga.state,
  );
  const launchesPivot = action === 'skip' && step === definition.graph.pivot;
  if (launchesPivot && saga.cancelRequested) refuse(saga, 'it is to be cancelled');
  return { entries, launchesPivot, status: statusAfter(saga, after) };
}

/** What else has given up is for a worker to park, with the error and the alarm, once the last of its siblings has ended. */
function statusAfter({ status }: SagaCase, after: SagaState): SagaStatus {
  const isLeft = after.status === 'parked' && status !== 'parked';
  return transition(status, isLeft ? 'running' : after.status);
}

const RULES: Readonly<Record<SagaIntervention, Rule>> = { retry, skip, resolve, compensate, resume };

/** What has given up gets all its attempts again; what waits for its next attempt gets it now. */
function retry(saga: SagaCase): Entries {
  const { state, status } = saga;
  if (status === 'failed') return entriesOf('undo_retried', failedUndos(state));
  if (status === 'parked' && state.status !== 'parked') refuse(saga, 'no step of it has failed; resume it');
  if (status === 'parked') return entriesOf('step_retried', failedSteps(state));
  const back = status === 'compensating';
  const waiting = back ? openUndos(saga.definition, state) : stepsWhere(state, isStarted);
  const paused = waiting.filter((name) => (stateOf(state, name).pause?.leftMs ?? 0) > 0);
  // One may have given up while its siblings go on: an undo, or a step behind the pivot.
  const up = back ? failedUndos(state) : state.status === 'parked' ? failedSteps(state) : [];
  const again = [...up, ...paused];
  if (again.length === 0) refuse(saga, 'nothing of it has failed or waits for its next attempt');
  return entriesOf(back ? 'undo_retried' : 'step_retried', again);
}

/** The saga goes on as if the step were done, without a result. */
function skip(saga: SagaCase): Entries {
  const { state, status } = saga;
  const step = stepFor(saga, 'skip');
  requireBegun(saga);
  if (!FORWARD.has(status) || state.status === 'compensating')
    refuse(saga, 'steps are skipped while it goes forward; an undo that fails is resolved');
  const { status: stepStatus } = stateOf(state, step);
  const hasItsTurn = ['started', 'failed'].includes(stepStatus) || waitingSteps(state).includes(step);
  if (!hasItsTurn)
    refuse(saga, `step "${step}" is ${stepStatus}, and only one that runs, waits or has failed is skipped`);
  return entriesOf('step_skipped', [step]);
}

/** Somebody has undone it by hand. */
function resolve(saga: SagaCase): Entries {
  const { definition, state } = saga;
  const step = stepFor(saga, 'resolve');
  const open = [...failedUndos(state), ...openUndos(definition, state)];
  if (saga.status === 'compensated' || state.status !== 'compensating' || !open.includes(step))
    refuse(saga, `no undo of step "${step}" is open or has failed`);
  return entriesOf('undo_resolved', [step]);
}

/** Also behind the point of no return: that is what it is for. */
function compensate(saga: SagaCase): Entries {
  const { state, status } = saga;
  if (status === 'failed') refuse(saga, 'it has turned back already; retry or resolve its undos');
  requireBegun(saga);
  if (!FORWARD.has(status) || state.status === 'compensating')
    refuse(saga, 'it has turned back already or is completed');
  return [{ kind: 'compensating', step: null }];
}

/** What parked it, such as processes that died or code that was missing, is mended. */
function resume(saga: SagaCase): Entries {
  const { state, status } = saga;
  if (status !== 'parked') refuse(saga, 'only a parked saga is resumed');
  if (state.status === 'parked')
    refuse(
      saga,
      `step "${failedSteps(state).join('", "')}" has failed; retry or skip it, or compensate the saga`,
    );
  return [{ kind: 'unparked', step: null }];
}

function entriesOf(kind: Entries[number]['kind'], steps: readonly string[]): Entries {
  return steps.map((step) => ({ kind, step }));
}

function failedSteps(state: SagaState): readonly string[] {
  return stepsWhere(state, ({ status }) => status === 'failed');
}

function stepsWhere(state: SagaState, is: (step: StepState) => boolean): readonly string[] {
  return state.definition.graph.names.filter((name) => is(stateOf(state, name)));
}

function isStarted({ status }: StepState): boolean {
  return status === 'started';
}

function stepFor({ step }: SagaCase, what: string): string {
  if (step !== undefined) return step;
  throw new SagaInputError(`step: name the step to ${what}`);
}

function requireBegun(saga: SagaCase): void {
  if (saga.epoch === 0) refuse(saga, 'nothing of it has begun; cancel it');
}

function turnedBack({ actor, reason }: OperatorRecord): SagaCancelledError {
  return new SagaCancelledError(`turned back by ${actor}${reason === null ? '' : `: ${reason}`}`);
}

function refuse({ sagaId, status }: SagaCase, why: string): never {
  throw new IllegalTransitionError(`saga ${sagaId} is ${status}: ${why}`);
}
