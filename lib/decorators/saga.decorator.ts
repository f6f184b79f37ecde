import { Injectable, type Type } from '@nestjs/common';
import type { SagaOptions } from '../saga/definition/saga-options.js';
import { SAGA_METADATA } from '../sagaz.tokens.js';

/**
 * Makes a provider a saga: its `@SagaStep` methods are the steps, its `@Compensate` methods their undos. Applies
 * `Injectable()`; the class still goes into the `providers` of a module.
 */
export function Saga(options: SagaOptions): <C extends Type<object>>(target: C) => void {
  return (target) => {
    Injectable()(target);
    Reflect.defineMetadata(SAGA_METADATA, options, target);
  };
}
