import { SagaNotCancellableError } from './state/errors.js';
import { isEnded, type SagaStatus } from './state/saga-status.js';

/** It is too late to cancel a saga. */
export function refusedCancel(sagaId: string, status: SagaStatus): SagaNotCancellableError {
  const why = isEnded(status) ? `is ${status}` : 'has reached its point of no return';
  return new SagaNotCancellableError(`saga ${sagaId} cannot be cancelled: it ${why}`);
}
