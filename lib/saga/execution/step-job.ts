import type { StepDefinition } from '../definition/saga-definition.js';
import type { ResolvedRetry } from '../retry/retry-policy.js';
import type { JournalKind } from '../state/journal.js';

/** An action or an undo of a step: the same machinery runs both. */
export interface StepJob {
  readonly mode: 'action' | 'undo';
  readonly step: StepDefinition;
  readonly handler: (context: unknown) => unknown;
  readonly place: string;
  readonly timeoutMs: number;
  readonly retry: ResolvedRetry;
  /** Number of its first attempt in this process; 1 for the very first. */
  readonly firstAttempt: number;
  readonly completed: JournalKind;
  readonly failed: JournalKind;
}

export function actionJob(step: StepDefinition, firstAttempt: number): StepJob {
  const { handler, place, timeout, retry } = step;
  return {
    mode: 'action',
    step,
    handler,
    place,
    timeoutMs: timeout,
    retry,
    firstAttempt,
    completed: 'step_completed',
    failed: 'step_failed',
  };
}

export function undoJob(step: StepDefinition): StepJob {
  if (!step.compensation) throw new Error(`${step.place} has no compensation`);
  const { handler, place, timeout, retry } = step.compensation;
  return {
    mode: 'undo',
    step,
    handler,
    place,
    timeoutMs: timeout,
    retry,
    firstAttempt: 1,
    completed: 'undo_completed',
    failed: 'undo_failed',
  };
}
