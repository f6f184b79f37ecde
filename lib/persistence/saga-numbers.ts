import type { SagaNumbers } from '../saga/saga-storage.js';

/** So many sagas have a status. */
export interface StatusCount {
  readonly status: string;
  readonly count: number;
}

export function sagaNumbersOf(counts: readonly StatusCount[]): SagaNumbers {
  const of = (wanted: keyof SagaNumbers) =>
    counts.filter(({ status }) => status === wanted).reduce((sum, { count }) => sum + count, 0);
  return {
    waiting: of('waiting'),
    compensating: of('compensating'),
    failed: of('failed'),
    parked: of('parked'),
  };
}
