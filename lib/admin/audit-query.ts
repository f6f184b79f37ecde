import { writtenAsOurs } from '../events/uuid-v7.js';
import { didYouMean } from '../runtime/did-you-mean.js';
import { ADMIN_ACTIONS, type AuditFilter } from '../saga/state/audit.js';
import { SagaInputError } from '../saga/state/errors.js';
import { checkText } from './checks.js';
import { limitOf } from './limit.js';

export interface AuditQuery extends AuditFilter {
  /** 1 to 500. Default 50. */
  readonly limit?: number | undefined;
}

/** @throws SagaInputError that names the field */
export function readAuditQuery({ limit, ...filter }: AuditQuery): AuditFilter & { readonly limit: number } {
  const { before, action, target } = filter;
  checkText('action', action);
  if (action !== undefined && !ADMIN_ACTIONS.includes(action))
    throw new SagaInputError(`action: "${action.slice(0, 40)}" is none${didYouMean(action, ADMIN_ACTIONS)}`);
  checkText('target', target);
  checkText('actor', filter.actor);
  if (before !== undefined && !/^\d{1,18}$/.test(before))
    throw new SagaInputError('before: expected the id of an action');
  return { ...filter, target: target && writtenAsOurs(target), limit: limitOf(limit) };
}
