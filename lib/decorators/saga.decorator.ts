import { Injectable, type Type } from '@nestjs/common';
import type { SagaDefaults } from '../saga/definition/saga-options.js';
import { SAGA_METADATA } from '../sagaz.tokens.js';

/** Options of `@Saga`. */
export interface SagaOptions extends SagaDefaults {
  /** Unique in the application together with `version`; what a running saga is found by, so never change it. */
  name: string;
  /** A whole number from 1; raise it when the steps change while sagas are running. Default 1. */
  version?: number | undefined;
}

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
