import { show } from '../runtime/readers.js';
import type { AdminAction, NewAudit } from '../saga/state/audit.js';
import { SagaInputError } from '../saga/state/errors.js';

/** Who wants something changed, and why: it stands in the audit. */
export interface Operator {
  /** 1 to 200 characters. Default `application`. */
  readonly actor?: string | undefined;
  /** 1 to 2,000 characters. */
  readonly reason?: string | undefined;
}

const LIMITS = { actor: 200, reason: 2_000 } as const;

/** @throws SagaInputError that names the field */
export function auditOf(action: AdminAction, target: string, operator: Operator): NewAudit {
  const { actor = 'application', reason = null } = checkedOperator(operator);
  return { action, target, actor, reason };
}

/** @throws SagaInputError that names the field */
export function checkedOperator({ actor, reason }: Operator): Operator {
  return { actor: textOf('actor', actor), reason: textOf('reason', reason) };
}

/** Whatever callers without types hand in. */
function textOf(field: keyof typeof LIMITS, given: unknown): string | undefined {
  if (given === undefined) return undefined;
  const limit = LIMITS[field];
  const fits = typeof given === 'string' && given.trim() !== '' && given.length <= limit;
  if (fits && given.isWellFormed() && !given.includes('\u0000')) return given;
  throw new SagaInputError(`${field}: expected a text of 1 to ${limit} characters, got ${show(given)}`);
}
