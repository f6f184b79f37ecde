import { didYouMean } from '../runtime/did-you-mean.js';
import type { ListQuery } from '../saga/saga-storage.js';
import { SagaInputError } from '../saga/state/errors.js';
import { SagaStatus } from '../saga/state/saga-status.js';
import type { SagaQuery } from './saga-admin.js';

const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 500;
const STATUSES = Object.values(SagaStatus);
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** @throws SagaInputError that names the field */
export function readQuery(query: SagaQuery): ListQuery {
  const { status, name, tags, startedAfter, startedBefore, limit = DEFAULT_LIMIT, after } = query;
  const statuses = status === undefined ? STATUSES : [status].flat();
  for (const it of statuses) {
    if (!STATUSES.includes(it)) refuse('status', `"${it}" is none${didYouMean(String(it), STATUSES)}`);
  }
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT)
    refuse('limit', `expected a whole number from 1 to ${MAX_LIMIT}, got ${limit}`);
  if (after !== undefined && !UUID.test(after)) refuse('after', 'expected what `next` of a page gave');
  for (const [tag, value] of Object.entries(tags ?? {})) {
    if (typeof value !== 'string') refuse(`tags.${tag}`, `expected a text, got ${typeof value}`);
  }
  return {
    statuses,
    name,
    tags: tags ?? {},
    startedAfter: dateOf('startedAfter', startedAfter),
    startedBefore: dateOf('startedBefore', startedBefore),
    limit,
    after,
  };
}

function dateOf(field: string, date: Date | undefined): Date | undefined {
  if (date !== undefined && !(date instanceof Date && Number.isFinite(date.getTime())))
    refuse(field, 'expected a Date');
  return date;
}

function refuse(field: string, reason: string): never {
  throw new SagaInputError(`list: ${field}: ${reason}`);
}
