export { SagazModule } from './sagaz.module.js';
export { SAGAZ_MODULE_OPTIONS, type SagazModuleAsyncOptions } from './sagaz.module-definition.js';
export type {
  EventRoute,
  InboxOptions,
  OutboxOptions,
  PayloadOptions,
  SagazModuleOptions,
  SagazOptionsFactory,
  WorkerOptions,
} from './options/sagaz-module-options.js';
export type { Duration } from './runtime/duration.js';

export { Compensate } from './decorators/compensate.decorator.js';
export { Saga } from './decorators/saga.decorator.js';
export {
  SagaListener,
  type SagaEnded,
  type SagaListenerHooks,
  type SagaListenerOptions,
} from './decorators/saga-listener.decorator.js';
export { SagaStep } from './decorators/saga-step.decorator.js';

export {
  ClassicSaga,
  ConsumerInbox,
  Outbox,
  SagaBarrier,
  SagaOrchestrator,
  type ClassicStep,
  type CompensationContext,
  type ProbeContext,
  type SagaContext,
  type StartOptions,
} from './typeorm-alias.js';
export type { ExecuteOptions, ResultOptions, SagaHandle } from './saga/saga-orchestrator.js';
export type { SagaTarget, SignalOptions, SignalReceipt } from './saga/signaller.js';
export type { ProbeResult } from './saga/definition/context.js';
export {
  OutboxAdmin,
  type DeadLetterListQuery,
  type DeadLetterPage,
  type DeadLetterQuery,
} from './admin/outbox-admin.js';
export {
  IdempotentConsumer,
  type IdempotentConsumerOptions,
} from './decorators/idempotent-consumer.decorator.js';
export { InboxStorage, type InboxResult } from './inbox/inbox-storage.js';
export type { InboxMessageRef } from './inbox/consumer-inbox.js';
export type { ActionResult, BarrierCommand, KnownAction, UndoResult } from './inbox/barrier-storage.js';
export type { OutboxNumbers, SentFilter } from './outbox/outbox-storage.js';
export type { DeadLetter, DeadLetterFilter, DeadLetterView } from './outbox/retry-storage.js';
export { SagaAdmin, type SagaChange, type SagaHistory, type SagaPage } from './admin/saga-admin.js';
export type { AuditQuery } from './admin/audit-query.js';
export type { Operator } from './admin/operator.js';
export type { AdminAction, AuditFacts, AuditRecord } from './saga/state/audit.js';
export type { SagaQuery } from './admin/saga-query.js';
export type { SagaMoment } from './admin/saga-moment.js';
export type { SagaFailure, SagaResult, SagaSnapshot } from './saga/execution/saga-result.js';
export type { ClassicSagaOptions } from './saga/definition/classic-saga.js';
export { CompensationGraph, CompensationNode } from './saga/definition/compensation-graph.js';
export type { SagaDefinition } from './saga/definition/saga-definition.js';
export {
  FailureStrategy,
  type CompensateOn,
  type CompensateOptions,
  type SagaDefaults,
  type SagaOptions,
  type StepOptions,
} from './saga/definition/saga-options.js';
export type { SagaPlan } from './saga/definition/saga-plan.js';
export type { StandardSchema } from './saga/definition/standard-schema.js';
export type { InputOf, ResultsOf, SagaRef } from './saga/definition/saga-types.js';
export type { Retry, RetryOptions } from './saga/retry/retry-policy.js';
export { SagaStatus } from './saga/state/saga-status.js';
export { StepStatus, type Outcome } from './saga/state/step-status.js';
export { SagaStorage } from './saga/saga-storage.js';

export { OutboxStorage } from './outbox/outbox-storage.js';
export { OutboxWorker } from './outbox/outbox-worker.js';
export type { OutboxEventInput } from './events/outbox-event.js';
export type { PublishItem, PublishOutcome, PublishOutcomes } from './events/publish.js';
export { InMemoryBroker } from './brokers/memory/in-memory-broker.js';
export type { Envelope } from './brokers/envelope.js';
export { MessageBroker } from './brokers/message-broker.js';

export { SagazTelemetry, type SagazEvents } from './runtime/telemetry.js';

export { SagazError } from './saga/state/sagaz.error.js';
export {
  AdminUnguardedError,
  BrokerUnavailableError,
  CompensationFailedError,
  DefinitionChangedError,
  DuplicateCopyError,
  FencedError,
  IllegalTransitionError,
  InboxTransportError,
  MemoryInProductionError,
  MessageExpiredError,
  MissingPeerError,
  NoEffectError,
  NonRetryableError,
  PayloadTooLargeError,
  ReadOnlyDatabaseError,
  ResultNotSerialisableError,
  SagaCancelledError,
  SagaConflictError,
  SagaDefinitionError,
  SagaInputError,
  SagaNotCancellableError,
  SagaNotFoundError,
  SagaResultTimeoutError,
  SagaTimeoutError,
  SagazOptionsError,
  SchemaMismatchError,
  ShutdownError,
  SignalTooLateError,
  StepTimeoutError,
  TransactionRequiredError,
  UnknownDestinationError,
  VersionNotRegisteredError,
  WaitTimeoutError,
  type DefinitionFault,
  type DefinitionFaultKind,
  type InputIssue,
} from './saga/state/errors.js';
