import type { EntityManager as TypeOrmEntityManager } from 'typeorm';
import { ConsumerInbox as ConsumerInboxCore } from './inbox/consumer-inbox.js';
import { SagaBarrier as SagaBarrierCore } from './inbox/saga-barrier.js';
import { Outbox as OutboxCore } from './outbox/outbox.js';
import {
  ClassicSaga as ClassicSagaCore,
  type ClassicSagaOptions,
  type ClassicStep as CoreStep,
  type NoResults,
} from './saga/definition/classic-saga.js';
import type { ActionContext, ProbingContext, UndoContext } from './saga/definition/context.js';
import {
  SagaOrchestrator as OrchestratorCore,
  type StartOptions as CoreStartOptions,
} from './saga/saga-orchestrator.js';

/*
 * The engine does not know TypeORM: its transaction handle is a type parameter. Here it is given the type that users
 * of this library work with.
 */

export type EntityManager = TypeOrmEntityManager;

/** What a `@SagaStep` method is given: `I` is the input, `R` the results of earlier steps by name. */
export type SagaContext<I = unknown, R = Record<string, unknown>> = ActionContext<I, R, EntityManager>;

/** What the `probe` of a step is given. */
export type ProbeContext<I = unknown, R = Record<string, unknown>> = ProbingContext<I, R, EntityManager>;

/** What a `@Compensate` method is given: `T` is what the action returned. */
export type CompensationContext<I = unknown, T = unknown, R = Record<string, unknown>> = UndoContext<
  I,
  T,
  R,
  EntityManager
>;

/**
 * A saga written as a chain of calls instead of a class: `I` is the input, `R` the results of its steps by name, `Given`
 * what callers hand in where a schema makes something else of it. Each call returns a new builder, so a beginning can
 * be shared.
 */
export interface ClassicSaga<I = unknown, R extends object = NoResults, Given = I> extends ClassicSagaCore<
  I,
  R,
  EntityManager,
  Given
> {
  /** The same saga with one more step. */
  step<N extends string, T>(
    name: N,
    step: ClassicStep<I, R, T>,
  ): ClassicSaga<I, R & { readonly [K in N]: Awaited<T> }, Given>;
}
export const ClassicSaga: new <I = unknown, Given = I>(
  name: string,
  options?: ClassicSagaOptions<I, Given>,
) => ClassicSaga<I, NoResults, Given> = ClassicSagaCore;

/** A step of a `ClassicSaga`: `R` are the results of the steps before it, `T` is what its action returns. */
export type ClassicStep<I, R extends object, T> = CoreStep<I, R, T, EntityManager>;

export type StartOptions = CoreStartOptions<EntityManager>;

/** Injectable: starts sagas and waits for their results. */
export type SagaOrchestrator = OrchestratorCore<EntityManager>;
export const SagaOrchestrator: typeof OrchestratorCore<EntityManager> = OrchestratorCore;

/** Injectable: lets a message take effect once for each consumer. */
export type ConsumerInbox = ConsumerInboxCore<EntityManager>;
export const ConsumerInbox: typeof ConsumerInboxCore<EntityManager> = ConsumerInboxCore;

/** Injectable: for participants in sagas of other services. */
export type SagaBarrier = SagaBarrierCore<EntityManager>;
export const SagaBarrier: typeof SagaBarrierCore<EntityManager> = SagaBarrierCore;

/** Injectable: writes events in the transaction of the business data. */
export type Outbox = OutboxCore<EntityManager>;
export const Outbox: typeof OutboxCore<EntityManager> = OutboxCore;
