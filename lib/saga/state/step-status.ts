/** Where a step of a saga stands; the last three are reached by its undo. */
export const StepStatus = {
  NOT_STARTED: 'not_started',
  STARTED: 'started',
  COMPLETED: 'completed',
  FAILED: 'failed',
  SKIPPED: 'skipped',
  COMPENSATING: 'compensating',
  COMPENSATED: 'compensated',
  COMPENSATION_FAILED: 'compensation_failed',
} as const;
export type StepStatus = (typeof StepStatus)[keyof typeof StepStatus];

/**
 * What is known of a step's effect: it is there, it may be there, it is not there.
 * Of several attempts the worst counts: completed > unknown > failed.
 */
export type Outcome = 'completed' | 'unknown' | 'failed';

const WEIGHT: Readonly<Record<Outcome, number>> = { failed: 0, unknown: 1, completed: 2 };

export function worseOutcome(a: Outcome, b: Outcome): Outcome {
  return WEIGHT[a] >= WEIGHT[b] ? a : b;
}

/** Its undo has ended, one way or the other. */
export function isUndone(status: StepStatus): boolean {
  return status === 'compensated' || status === 'compensation_failed';
}
