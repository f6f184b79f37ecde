import type { SagaRow, SagaStorage } from './saga-storage.js';
import { SagaNotFoundError } from './state/errors.js';

/** @throws SagaNotFoundError */
export async function findSaga(storage: Pick<SagaStorage, 'find'>, sagaId: string): Promise<SagaRow> {
  const row = await storage.find(sagaId);
  if (row) return row;
  throw sagaNotFound(sagaId);
}

export function sagaNotFound(sagaId: string): SagaNotFoundError {
  return new SagaNotFoundError(`there is no saga ${sagaId}`);
}
