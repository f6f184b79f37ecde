import type { Operator } from '../operator.js';
import { SagaInputError } from '../../saga/state/errors.js';
import type { Fields } from '../text-fields.js';

/** Who sends a request, as the guards of the application know it. */
export type RequestActor = (request: unknown) => string | undefined;

/** Injection token of the {@link RequestActor}. */
export const REQUEST_ACTOR = Symbol.for('nestjs-sagaz:request-actor');

/** @throws SagaInputError when a reason is given more than once */
export function operatorOf(actor: RequestActor, request: unknown, { reason }: Fields): Operator {
  if (reason !== undefined && typeof reason !== 'string')
    throw new SagaInputError('reason: expected a text, got an array');
  return { actor: actor(request) ?? 'http', reason };
}
