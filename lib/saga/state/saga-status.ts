import { IllegalTransitionError } from './errors.js';

/** Where a saga stands. Lower case in the database too, where a CHECK holds the same list. */
export const SagaStatus = {
  PENDING: 'pending',
  RUNNING: 'running',
  WAITING: 'waiting',
  COMPLETED: 'completed',
  COMPENSATING: 'compensating',
  COMPENSATED: 'compensated',
  FAILED: 'failed',
  PARKED: 'parked',
} as const;
export type SagaStatus = (typeof SagaStatus)[keyof typeof SagaStatus];

/** The one table of legal transitions; every write goes through it. */
const TRANSITIONS: Readonly<Record<SagaStatus, readonly SagaStatus[]>> = {
  pending: ['running', 'compensated'],
  running: ['waiting', 'completed', 'compensating', 'parked'],
  waiting: ['running', 'compensating', 'parked'],
  compensating: ['compensated', 'failed', 'parked'],
  parked: ['running', 'compensating'],
  failed: ['compensating', 'compensated'],
  compensated: ['compensating'],
  completed: [],
};

/** The same status, or the next one. @throws IllegalTransitionError when the table does not hold it */
export function transition(from: SagaStatus, to: SagaStatus): SagaStatus {
  if (from === to || TRANSITIONS[from].includes(to)) return to;
  throw new IllegalTransitionError(`a saga that is ${from} cannot become ${to}`);
}

export type EndStatus = 'completed' | 'compensated' | 'failed' | 'parked';

/** True for the statuses that a caller of `execute` or `result` stops waiting at. */
export function isEnded(status: SagaStatus): status is EndStatus {
  return status === 'completed' || status === 'compensated' || status === 'failed' || status === 'parked';
}
