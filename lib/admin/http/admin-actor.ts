import { SagaInputError } from '../../saga/state/errors.js';
import type { Operator } from '../operator.js';
import type { Fields } from '../text-fields.js';

/** Who sends a request, as the guards of the application know it. */
export type RequestActor = (request: unknown) => string | undefined;

/** Who acts: by the request, or by the field `actor` of its body. */
export type ActorReader = (request: unknown, said: string | undefined) => string;

/** Injection token of the {@link ActorReader}. */
export const ACTOR_READER = Symbol.for('nestjs-sagaz:actor-reader');

/** Fields of the body of every change. */
export const WHO_AND_WHY = {
  actor: 'Who, for the audit: where the application does not know who sends a request, and only there',
  reason: 'Why, for the audit',
};

/**
 * A change without a name in the audit is refused. Where the application knows who sends a request, nobody may say that he is
 * somebody else.
 */
export function actorReader(known: RequestActor | undefined): ActorReader {
  return (request, said) => {
    if (!known) return given(said, 'actor: say who you are, for the audit');
    if (said !== undefined) throw new SagaInputError('actor: leave it out; the request says who you are');
    return given(
      known(request),
      'actor: the application does not know who sends this request; its option `actor` of SagazAdminModule has to',
    );
  };
}

/** @throws SagaInputError when nobody knows who acts, or a field is given more than once */
export function operatorOf(actorOf: ActorReader, request: unknown, { actor, reason }: Fields): Operator {
  const [said, why] = [once('actor', actor), once('reason', reason)];
  return { actor: actorOf(request, said), reason: why };
}

function given(actor: string | undefined, otherwise: string): string {
  // What callers without types hand in is checked where it is noted.
  if (actor !== undefined && (actor as unknown) !== null && actor !== '') return actor;
  throw new SagaInputError(otherwise);
}

function once(field: string, value: Fields[string]): string | undefined {
  if (value === undefined || typeof value === 'string') return value;
  throw new SagaInputError(`${field}: expected a text, got an array`);
}
