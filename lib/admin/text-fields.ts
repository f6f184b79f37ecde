import type { DeadLetterFilter } from '../outbox/retry-storage.js';
import type { SentFilter } from '../outbox/outbox-storage.js';
import { SagaInputError } from '../saga/state/errors.js';
import type { AdminAction } from '../saga/state/audit.js';
import type { SagaStatus } from '../saga/state/saga-status.js';
import { readAuditQuery, type AuditQuery } from './audit-query.js';
import { deadLetterFilter, sentFilter } from './event-filter.js';
import { limitOf } from './limit.js';
import { placeOf } from './dead-letter-cursor.js';
import type { DeadLetterListQuery } from './outbox-admin.js';
import { readQuery, type SagaQuery } from './saga-query.js';

/**
 * What came as text, from a command line or over HTTP; several where a field may be given several times. What is made of it
 * here has been checked whole, so that a command line says what is wrong before it connects to anything.
 */
export type Fields = Readonly<Record<string, string | readonly string[] | undefined>>;

/**
 * `status` may name several, with commas between them; `tag` is `name=value`.
 * @throws SagaInputError that names the field
 */
export function sagaQueryOf(fields: Fields): SagaQuery {
  const statuses = several(fields['status'])?.flatMap((text) => text.split(','));
  const query = {
    status: statuses as SagaStatus[] | undefined,
    name: one(fields, 'name'),
    tags: Object.fromEntries((several(fields['tag']) ?? []).map(tagOf)),
    startedAfter: dateOf(fields, 'startedAfter'),
    startedBefore: dateOf(fields, 'startedBefore'),
    limit: numberOf(fields, 'limit'),
    after: one(fields, 'after'),
  };
  readQuery(query);
  return query;
}

/** @throws SagaInputError that names the field */
export function deadLetterFilterOf(fields: Fields): DeadLetterFilter {
  const [diedAfter, diedBefore] = [dateOf(fields, 'diedAfter'), dateOf(fields, 'diedBefore')];
  return deadLetterFilter({ ...eventsOf(fields), diedAfter, diedBefore });
}

/** @throws SagaInputError that names the field */
export function deadLetterQueryOf(fields: Fields): DeadLetterListQuery {
  const after = one(fields, 'after');
  if (after !== undefined) placeOf(after);
  return { ...deadLetterFilterOf(fields), limit: limitOf(numberOf(fields, 'limit')), after };
}

/** @throws SagaInputError that names the field */
export function sentFilterOf(fields: Fields): SentFilter {
  const [sentAfter, sentBefore] = [dateOf(fields, 'sentAfter'), dateOf(fields, 'sentBefore')];
  return sentFilter({ ...eventsOf(fields), sentAfter, sentBefore });
}

/** @throws SagaInputError that names the field */
export function auditQueryOf(fields: Fields): AuditQuery {
  const [target, actor, before] = [one(fields, 'target'), one(fields, 'actor'), one(fields, 'before')];
  const action = one(fields, 'action') as AdminAction | undefined;
  return readAuditQuery({ target, actor, action, before, limit: numberOf(fields, 'limit') });
}

function eventsOf(fields: Fields) {
  return {
    eventIds: several(fields['eventIds']),
    destination: one(fields, 'destination'),
    type: one(fields, 'type'),
    key: one(fields, 'key'),
  };
}

function several(value: Fields[string]): readonly string[] | undefined {
  return typeof value === 'string' ? [value] : value;
}

function one(fields: Fields, field: string): string | undefined {
  const value = fields[field];
  if (value === undefined || typeof value === 'string') return value;
  throw new SagaInputError(`${field}: give it once`);
}

function numberOf(fields: Fields, field: string): number | undefined {
  const text = one(fields, field);
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new SagaInputError(`${field}: expected a whole number, got "${text.slice(0, 40)}"`);
}

const ISO_DATE = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/;

function dateOf(fields: Fields, field: string): Date | undefined {
  const text = one(fields, field);
  if (text === undefined) return undefined;
  const date = new Date(text);
  if (ISO_DATE.test(text) && Number.isFinite(date.getTime()) && isInCalendar(text)) return date;
  throw new SagaInputError(
    `${field}: expected a date such as 2026-11-27 or 2026-11-27T08:30:00Z, got "${text.slice(0, 40)}"`,
  );
}

/** Date takes 31 February for 3 March. */
function isInCalendar(text: string): boolean {
  const day = text.slice(0, 10);
  return new Date(day).toISOString().startsWith(day);
}

function tagOf(text: string): [string, string] {
  const [, name, value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (name !== undefined && value !== undefined) return [name, value];
  throw new SagaInputError(`tag: expected name=value, got "${text.slice(0, 40)}"`);
}
