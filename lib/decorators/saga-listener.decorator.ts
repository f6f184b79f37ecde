import { Injectable, type Type } from '@nestjs/common';
import type { SagazEvents } from '../runtime/telemetry.js';
import type { SagaRef } from '../saga/definition/saga-types.js';
import type { EndStatus } from '../saga/state/saga-status.js';
import { LISTENER_METADATA } from '../sagaz.tokens.js';

/** Options of `@SagaListener`. */
export interface SagaListenerOptions {
  /** Class, name or definition; every version of it. Default: every saga of the application. */
  saga?: SagaRef | undefined;
}

/** How a saga ended. */
export type SagaEnded = {
  [S in EndStatus]: SagazEvents[`saga.${S}`] & { readonly status: S };
}[EndStatus];

/** What a `@SagaListener` class may have, at least one of it. */
export interface SagaListenerHooks {
  onSagaStarted?(event: SagazEvents['saga.started']): unknown;
  onStepCompleted?(event: SagazEvents['step.completed']): unknown;
  onStepFailed?(event: SagazEvents['step.failed']): unknown;
  onStepCompensated?(event: SagazEvents['undo.completed']): unknown;
  onSagaEnded?(event: SagaEnded): unknown;
}

/**
 * Makes a provider hear of the sagas of its application, in so far as they run in this process. Nobody waits for a
 * hook, and one that fails is only logged: what must happen belongs into a step or an event. Applies `Injectable()`;
 * the class still goes into the `providers` of a module.
 */
export function SagaListener(
  options: SagaListenerOptions = {},
): <C extends Type<SagaListenerHooks>>(target: C) => void {
  return (target) => {
    Injectable()(target);
    Reflect.defineMetadata(LISTENER_METADATA, options, target);
  };
}
