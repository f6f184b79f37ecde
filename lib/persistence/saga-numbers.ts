import type { SagaNumbers } from '../saga/saga-storage.js';

export function sagaNumbers(count: (status: keyof SagaNumbers) => number): SagaNumbers {
  return {
    waiting: count('waiting'),
    compensating: count('compensating'),
    failed: count('failed'),
    parked: count('parked'),
  };
}
