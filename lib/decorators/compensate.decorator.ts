import { SetMetadata } from '@nestjs/common';
import type { CompensateOptions } from '../saga/definition/saga-options.js';
import type { SagaRef } from '../saga/definition/saga-types.js';
import { COMPENSATE_METADATA } from '../sagaz.tokens.js';
import type { CompensationContext } from '../typeorm-alias.js';

/* eslint-disable @typescript-eslint/no-explicit-any -- handlers of every input and result */
type AnyUndo = (context: CompensationContext<any, any, any>) => unknown;
type UndoOf<F> = F extends (...args: any[]) => infer Q
  ? (context: CompensationContext<any, Awaited<Q>, any>) => unknown
  : never;
type StepNamed<K extends string> = { [P in K]: (...args: any[]) => unknown };
/* eslint-enable @typescript-eslint/no-explicit-any */

/** The undo of a step, on another provider than the saga. */
export function Compensate(
  step: string,
  options: CompensateOptions & { saga: SagaRef },
): <H extends AnyUndo>(target: object, key: string | symbol, descriptor: TypedPropertyDescriptor<H>) => void;
/**
 * The undo of a step of the same class. It runs when the saga turns back and the step's effect is there or may be
 * there, so it must be happy with nothing to undo. Undos run in the reverse order of their steps.
 */
export function Compensate<K extends string>(
  step: K,
  options?: CompensateOptions & { saga?: never },
): <S extends StepNamed<K>, H extends UndoOf<S[K]>>(
  target: S,
  key: string | symbol,
  descriptor: TypedPropertyDescriptor<H>,
) => void;
export function Compensate(
  step: string,
  options: CompensateOptions & { saga?: SagaRef } = {},
): MethodDecorator {
  return SetMetadata(COMPENSATE_METADATA, { step, options });
}
