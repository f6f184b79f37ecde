import { SetMetadata } from '@nestjs/common';
import type { StepOptions } from '../saga/definition/saga-options.js';
import type { SagaRef } from '../saga/definition/saga-types.js';
import { STEP_METADATA } from '../sagaz.tokens.js';
import type { SagaContext } from '../typeorm-alias.js';

/* eslint-disable @typescript-eslint/no-explicit-any -- handlers of every input and result */
type StepHandler = (context: SagaContext<any, any>) => unknown;
type StepsNamed<K extends string> = { [P in K]: (...args: any[]) => unknown };
/* eslint-enable @typescript-eslint/no-explicit-any */

/** A step on another provider than its saga. It must say where it stands: `dependsOn`, which may be empty. */
export function SagaStep(
  options: StepOptions & { saga: SagaRef },
): <H extends StepHandler>(
  target: object,
  key: string | symbol,
  descriptor: TypedPropertyDescriptor<H>,
) => void;
/**
 * A step of the saga whose class it stands in. Without any `dependsOn` in the class, steps run in the order they are
 * written; with one, the graph alone decides, and steps that do not wait for each other run at the same time.
 */
export function SagaStep<K extends string = never>(
  options?: StepOptions<K> & { saga?: never },
): <S extends StepsNamed<K>, H extends StepHandler>(
  target: S,
  key: string | symbol,
  descriptor: TypedPropertyDescriptor<H>,
) => void;
export function SagaStep(options: StepOptions & { saga?: SagaRef } = {}): MethodDecorator {
  return SetMetadata(STEP_METADATA, options);
}
