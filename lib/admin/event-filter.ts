import type { SentFilter } from '../outbox/outbox-storage.js';
import type { DeadLetterFilter } from '../outbox/retry-storage.js';
import { didYouMean } from '../runtime/did-you-mean.js';
import { SagaInputError } from '../saga/state/errors.js';
import { checkDate, checkEventIds, checkText } from './checks.js';

const TEXTS = ['destination', 'type', 'key'] as const;
const DIED = ['diedAfter', 'diedBefore'] as const;
const SENT = ['sentAfter', 'sentBefore'] as const;

/**
 * What callers without types hand in, with nothing but what it says: what is null is unsaid, and a field that nobody knows
 * must not widen a filter to everything.
 * @throws SagaInputError that names the field
 */
export function deadLetterFilter(given: DeadLetterFilter): DeadLetterFilter {
  return filterOf(given, DIED);
}

/** As {@link deadLetterFilter}. @throws SagaInputError that names the field */
export function sentFilter(given: SentFilter): SentFilter {
  return filterOf(given, SENT);
}

/** A change is never of everything. @throws SagaInputError for a filter that says nothing */
export function requireSaid<T extends DeadLetterFilter | SentFilter>(what: string, filter: T): T {
  if (Object.keys(filter).length > 0) return filter;
  throw new SagaInputError(`${what}: name eventIds, a destination, a type, a key or a time`);
}

function filterOf<T extends object>(given: T, dates: readonly string[]): T {
  const known = ['eventIds', ...TEXTS, ...dates];
  const said = Object.entries(given).filter(([, value]) => value !== undefined && value !== null);
  for (const [field] of said)
    if (!known.includes(field))
      throw new SagaInputError(`there is no field "${field.slice(0, 40)}"${didYouMean(field, known)}`);
  const filter = Object.fromEntries(said);
  checkEventIds(filter['eventIds']);
  for (const field of TEXTS) checkText(field, filter[field]);
  for (const field of dates) checkDate(field, filter[field]);
  return filter as T;
}
