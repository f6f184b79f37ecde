import { isUuid } from '../events/uuid-v7.js';
import { didYouMean } from '../runtime/did-you-mean.js';
import type { ListQuery } from '../saga/saga-storage.js';
import { SagaInputError } from '../saga/state/errors.js';
import { SagaStatus } from '../saga/state/saga-status.js';
import { checkText } from './checks.js';
import { limitOf } from './limit.js';

/** Which sagas to list. Everything may be left out. */
export interface SagaQuery {
  readonly status?: SagaStatus | readonly SagaStatus[] | undefined;
  /** Name of the saga. */
  readonly name?: string | undefined;
  /** Tags that it must have, with these values. */
  readonly tags?: Readonly<Record<string, string>> | undefined;
  readonly startedAfter?: Date | undefined;
  readonly startedBefore?: Date | undefined;
  /** 1 to 500. Default 50. */
  readonly limit?: number | undefined;
  /** Goes on behind the page whose `next` this is. */
  readonly after?: string | undefined;
}

const STATUSES = Object.values(SagaStatus);

/** @throws SagaInputError that names the field */
export function readQuery(query: SagaQuery): ListQuery {
  const { status, name, tags = {}, startedAfter, startedBefore, limit, after } = query;
  if (after !== undefined && !isUuid(after)) refuse('after', 'expected what `next` of a page gave');
  checkText('name', name);
  return {
    statuses: status === undefined ? STATUSES : [status].flat().map(statusOf),
    name,
    tags: textsOf(tags),
    startedAfter: dateOf('startedAfter', startedAfter),
    startedBefore: dateOf('startedBefore', startedBefore),
    limit: limitOf(limit),
    after,
  };
}

/** Whatever callers without types hand in. */
function statusOf(given: SagaStatus): SagaStatus {
  if (STATUSES.includes(given)) return given;
  return refuse('status', `"${given}" is none${didYouMean(given, STATUSES)}`);
}

function textsOf(tags: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  for (const [tag, value] of Object.entries<unknown>(tags)) {
    if (typeof value !== 'string') refuse(`tags.${tag}`, `expected a text, got ${typeof value}`);
    checkText('tags', tag);
    checkText(`tags.${tag}`, value);
  }
  return tags;
}

function dateOf(field: string, date: Date | undefined): Date | undefined {
  if (date !== undefined && !(date instanceof Date && Number.isFinite(date.getTime())))
    refuse(field, 'expected a Date');
  return date;
}

function refuse(field: string, reason: string): never {
  throw new SagaInputError(`${field}: ${reason}`);
}
