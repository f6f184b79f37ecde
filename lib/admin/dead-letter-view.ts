import type { DeadLetter } from '../outbox/retry-storage.js';

/** A dead letter as it may be shown everywhere: without its payload and headers, which may hold what is nobody's business. */
export type DeadLetterView = Omit<DeadLetter, 'payload' | 'headers'>;

export function withoutContent({ payload: _, headers: __, ...letter }: DeadLetter): DeadLetterView {
  return letter;
}
