import { isUuid } from '../events/uuid-v7.js';
import type { DeadLetterPlace } from '../outbox/retry-storage.js';
import { SagaInputError } from '../saga/state/errors.js';
import { checkText } from './checks.js';

const TO_THE_MICROSECOND = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;

/** What a page gives as `next`: one word, which stands in a URL and on a command line as it is. */
export function cursorOf({ diedAt, eventId, destination }: DeadLetterPlace): string {
  return Buffer.from(JSON.stringify([diedAt, eventId, destination])).toString('base64url');
}

/** @throws SagaInputError for what no page gave */
export function placeOf(cursor: string): DeadLetterPlace {
  const [diedAt, eventId, destination, ...more] = partsOf(cursor);
  const isTime =
    typeof diedAt === 'string' && TO_THE_MICROSECOND.test(diedAt) && Number.isFinite(Date.parse(diedAt));
  if (!isTime || typeof eventId !== 'string' || !isUuid(eventId) || more.length > 0) throw refused();
  if (typeof destination !== 'string') throw refused();
  checkText('after', destination);
  return { diedAt, eventId, destination };
}

/** Whatever callers hand in. */
function partsOf(cursor: unknown): readonly unknown[] {
  try {
    const parts: unknown = JSON.parse(Buffer.from(String(cursor), 'base64url').toString());
    return Array.isArray(parts) ? parts : [];
  } catch {
    return [];
  }
}

function refused(): SagaInputError {
  return new SagaInputError('after: expected what `next` of a page gave');
}
