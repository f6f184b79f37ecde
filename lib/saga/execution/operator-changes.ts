import { stepOf, type SagaDefinition } from '../definition/saga-definition.js';
import type { JournalEntry, OperatorKind } from '../state/journal.js';
import { transition } from '../state/saga-status.js';
import { worseOutcome, type Outcome } from '../state/step-status.js';
import { changeStep, type Draft, type StepState } from './saga-state.js';

export type Change = (definition: SagaDefinition, draft: Draft, entry: JournalEntry) => void;

/** An undo that has to run from the beginning. */
export const AGAIN = { status: 'failed', undoAttempts: 0, undoFailure: undefined } as const;

/** What entries of an operator change: an owner of the saga writes none of them, but folds them when it has claimed it. */
export const OPERATOR_CHANGES: Readonly<Record<OperatorKind, Change>> = {
  // What counts is that it stands behind the claims whose processes have died.
  unparked: () => undefined,
  step_retried: stepRetried,
  step_skipped: stepSkipped,
  undo_retried: (_, draft, { step }) => changeStep(draft, step ?? '', retriedUndo),
  undo_resolved: (_, draft, { step: name }) =>
    changeStep(draft, name ?? '', (step) => ({
      ...step,
      status: 'compensated',
      undoFailure: undefined,
      pause: undefined,
    })),
};

/** A transaction that left no entry did not commit; any other attempt may have had its effect. */
export function lostOutcome(step: StepState, transactional: boolean): Outcome {
  return worseOutcome(step.outcome ?? 'failed', transactional ? 'failed' : 'unknown');
}

/** A failed step gets all its attempts again; the back-off of one that is still tried is over. */
function stepRetried(_: SagaDefinition, draft: Draft, { step: name }: JournalEntry): void {
  changeStep(draft, name ?? '', (step) => {
    // Not without a pause: it was not running when its process was fenced, as a sibling may have been.
    if (step.status === 'failed')
      return { ...step, status: 'started', launches: 0, pause: { leftMs: OVER_MS, elapsedMs: 0 } };
    return step.pause ? { ...step, pause: { ...step.pause, leftMs: OVER_MS } } : step;
  });
  unpark(draft);
}

const OVER_MS = 1;

/** Those that follow it may start. What it may have done is undone if the saga turns back. */
function stepSkipped(definition: SagaDefinition, draft: Draft, { step: name }: JournalEntry): void {
  const { transactional } = stepOf(definition, name ?? '');
  changeStep(draft, name ?? '', (step) => {
    const isRunning = step.status === 'started' && !step.pause && !draft.released;
    const lost = isRunning && { outcome: lostOutcome(step, transactional), interrupted: !transactional };
    return { ...step, ...lost, status: 'skipped', pause: undefined };
  });
  unpark(draft);
}

function retriedUndo(step: StepState): StepState {
  return step.status === 'compensation_failed' ? { ...step, ...AGAIN } : { ...step, pause: undefined };
}

/** It goes forward again once none of its steps is given up any more. */
function unpark(draft: Draft): void {
  if (draft.status !== 'parked' || draft.steps.some(({ status }) => status === 'failed')) return;
  draft.status = transition(draft.status, 'running');
  draft.failure = undefined;
}
