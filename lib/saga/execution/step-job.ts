import {
  stepOf,
  type Handler,
  type SagaDefinition,
  type StepDefinition,
} from '../definition/saga-definition.js';
import type { ResolvedRetry } from '../retry/retry-policy.js';
import type { JournalKind } from '../state/journal.js';

/** An action or an undo of a step: the same machinery runs both. */
export interface StepJob {
  readonly mode: 'action' | 'undo';
  readonly step: StepDefinition;
  readonly handler: Handler;
  readonly place: string;
  readonly timeoutMs: number;
  readonly retry: ResolvedRetry;
  /** Number of its first attempt in this process; 1 for the very first. */
  readonly firstAttempt: number;
  readonly completed: JournalKind;
  readonly failed: JournalKind;
}

export function actionJob(definition: SagaDefinition, name: string, firstAttempt: number): StepJob {
  const step = stepOf(definition, name);
  const { handler, place, timeout: timeoutMs, retry } = step;
  const kinds = { completed: 'step_completed', failed: 'step_failed' } as const;
  return { mode: 'action', step, handler, place, timeoutMs, retry, firstAttempt, ...kinds };
}

export function undoJob(definition: SagaDefinition, name: string): StepJob {
  const step = stepOf(definition, name);
  if (!step.compensation) throw new Error(`${step.place} has no compensation`);
  const { handler, place, timeout: timeoutMs, retry } = step.compensation;
  const kinds = { completed: 'undo_completed', failed: 'undo_failed' } as const;
  return { mode: 'undo', step, handler, place, timeoutMs, retry, firstAttempt: 1, ...kinds };
}
