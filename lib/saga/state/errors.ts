import { SagazError, SagazHttpError } from './sagaz.error.js';

/** No saga of this name or id. */
export class SagaNotFoundError extends SagazHttpError {
  readonly code = 'SAGAZ_NOT_FOUND';
  readonly status = 404;
}

/** Input refused by its schema, or input or an event that cannot be stored; the message names the place. */
export class SagaInputError extends SagazHttpError {
  readonly code = 'SAGAZ_INVALID_INPUT';
  readonly status = 400;

  /** @param issues what the schema of the saga found; empty when the error comes from elsewhere */
  constructor(
    message: string,
    readonly issues: readonly InputIssue[] = [],
  ) {
    super(message);
  }
}

/** Something that a schema found wrong in an input. */
export interface InputIssue {
  /** Begins with `input`, such as `input.items.0.quantity`. */
  readonly path: string;
  readonly message: string;
}

/** An input, result or payload is larger than the option `payload.maxBytes`. */
export class PayloadTooLargeError extends SagazHttpError {
  readonly code = 'SAGAZ_PAYLOAD_TOO_LARGE';
  readonly status = 413;
}

/** The idempotency key was used before with another input. */
export class SagaConflictError extends SagazHttpError {
  readonly code = 'SAGAZ_CONFLICT';
  readonly status = 409;
}

/** The saga can no longer be cancelled: its pivot was launched, or it has ended. */
export class SagaNotCancellableError extends SagazHttpError {
  readonly code = 'SAGAZ_NOT_CANCELLABLE';
  readonly status = 409;
}

/** The signal came when its saga had ended or had turned back: nothing waits for it any more, and it was not stored. */
export class SignalTooLateError extends SagazHttpError {
  readonly code = 'SAGAZ_SIGNAL_TOO_LATE';
  readonly status = 409;
}

/** An action of an operator, or a change of state, that the state of the saga does not allow. */
export class IllegalTransitionError extends SagazHttpError {
  readonly code = 'SAGAZ_ILLEGAL_TRANSITION';
  readonly status = 409;
}

/** The wait for a result ran out; the saga goes on. */
export class SagaResultTimeoutError extends SagazError {
  readonly code = 'SAGAZ_RESULT_TIMEOUT';

  constructor(
    readonly sagaId: string,
    timeoutMs: number,
  ) {
    super(`saga ${sagaId} has not ended within ${timeoutMs} ms; it goes on, ask for its result later`);
  }
}

/** A saga definition is wrong; `faults` lists everything that was found. */
export class SagaDefinitionError extends SagazError {
  readonly code = 'SAGAZ_INVALID_DEFINITION';

  constructor(readonly faults: readonly DefinitionFault[]) {
    super(
      `invalid saga definition:\n${faults.map((fault) => `  - ${fault.message} [${fault.kind}]`).join('\n')}`,
    );
  }
}

export interface DefinitionFault {
  readonly kind: DefinitionFaultKind;
  /** Names class and method. */
  readonly message: string;
}

export type DefinitionFaultKind =
  | 'BESIDE_PIVOT'
  | 'COMPENSATION_ON_PIVOT'
  | 'COMPENSATION_WITHOUT_STEP'
  | 'CYCLE'
  | 'DUPLICATE_COMPENSATION'
  | 'DUPLICATE_SAGA'
  | 'DUPLICATE_STEP'
  | 'INVALID_OPTION'
  | 'MISSING_COMPENSATION'
  | 'MISSING_DEPENDS_ON'
  | 'NOT_RETRIABLE_AFTER_PIVOT'
  | 'NOT_SINGLETON'
  | 'NO_STEPS'
  | 'SEVERAL_PIVOTS'
  | 'UNKNOWN_DEPENDENCY'
  | 'UNKNOWN_PROBE'
  | 'UNKNOWN_SAGA'
  | 'WAIT_WITHOUT_TIMEOUT';

/** Thrown by users: nothing happened, there is nothing to undo. */
export class NoEffectError extends SagazError {
  readonly code: string = 'SAGAZ_NO_EFFECT';
}

/** Thrown by users: do not repeat this step. It does not say that nothing happened. */
export class NonRetryableError extends SagazError {
  readonly code: string = 'SAGAZ_NON_RETRYABLE';
}

/** The saga was started with steps that the registered definition of its version does not have. */
export class DefinitionChangedError extends SagazError {
  readonly code = 'SAGAZ_DEFINITION_CHANGED';
}

/** The saga is of a version that no code is left of to go forward with. */
export class VersionNotRegisteredError extends SagazError {
  readonly code = 'SAGAZ_VERSION_NOT_REGISTERED';
}

/** An attempt of a step or undo did not end within its time-out. */
export class StepTimeoutError extends SagazError {
  readonly code = 'SAGAZ_STEP_TIMEOUT';
}

/** The signal that a step waited for did not come within `waitTimeout`; the step was never begun. */
export class WaitTimeoutError extends SagazError {
  readonly code = 'SAGAZ_WAIT_TIMEOUT';
}

/** The saga did not end within its `timeout`; reason of `ctx.signal` of the steps that were running then. */
export class SagaTimeoutError extends SagazError {
  readonly code = 'SAGAZ_SAGA_TIMEOUT';
}

/** Reason of `ctx.signal`: the saga was cancelled, or turned to its compensation, while this step was running. */
export class SagaCancelledError extends SagazError {
  readonly code = 'SAGAZ_CANCELLED';
}

/** Reason of `ctx.signal`, or of a wait: this process is shutting down; the saga goes on elsewhere. */
export class ShutdownError extends SagazError {
  readonly code = 'SAGAZ_SHUTDOWN';
}

/** Another process owns the saga now; nothing of this write was stored. */
export class FencedError extends SagazError {
  readonly code = 'SAGAZ_FENCED';
}

/** What a step returned cannot be stored as JSON; the message names the place. */
export class ResultNotSerialisableError extends SagazError {
  readonly code = 'SAGAZ_RESULT_NOT_SERIALISABLE';
}

/** At least one undo gave up; `standing` names the steps whose effect may still be there. */
export class CompensationFailedError extends SagazError {
  readonly code = 'SAGAZ_COMPENSATION_FAILED';

  constructor(
    message: string,
    readonly standing: readonly string[],
  ) {
    super(message);
  }
}

/** There is no open transaction to write to, or the storage is in memory and has none. */
export class TransactionRequiredError extends SagazError {
  readonly code = 'SAGAZ_TRANSACTION_REQUIRED';
}

/** An event names a destination that no broker is registered for. */
export class UnknownDestinationError extends SagazError {
  readonly code = 'SAGAZ_UNKNOWN_DESTINATION';
}

/** The tables of the database are not those of this version; the message says what mends it. */
export class SchemaMismatchError extends SagazError {
  readonly code = 'SAGAZ_SCHEMA_MISMATCH';
}

/** The database accepts no writes: it is a standby. */
export class ReadOnlyDatabaseError extends SagazError {
  readonly code = 'SAGAZ_READ_ONLY_DATABASE';
}

/** Wrong options of the module or of a broker; the message lists every fault. */
export class SagazOptionsError extends SagazError {
  readonly code = 'SAGAZ_INVALID_OPTIONS';

  constructor(
    readonly faults: readonly string[],
    of = 'SagazModule',
  ) {
    super(`invalid options of ${of}:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`);
  }
}

/** Memory storage with NODE_ENV=production, not allowed by name. */
export class MemoryInProductionError extends SagazError {
  readonly code = 'SAGAZ_MEMORY_IN_PRODUCTION';
}

/** Two copies of the package in one application, or a second SagazModule. */
export class DuplicateCopyError extends SagazError {
  readonly code = 'SAGAZ_DUPLICATE_COPY';
}

/** The routes of operators were to be mounted without guards, and nobody said that they are public. */
export class AdminUnguardedError extends SagazError {
  readonly code = 'SAGAZ_ADMIN_UNGUARDED';
}

/** The reply to a COMMIT was lost: it may have happened. The saga is claimed anew and its journal tells. */
export class CommitUnknownError extends SagazError {
  readonly code = 'SAGAZ_COMMIT_UNKNOWN';
}

/** An optional package that is needed here is not installed; the message has the command that installs it. */
export class MissingPeerError extends SagazError {
  readonly code = 'SAGAZ_MISSING_PEER';

  /** @param install the package as npm is told, with a version where not every one fits */
  constructor(
    readonly packageName: string,
    install: string,
  ) {
    super(`the package "${packageName}" is not installed: npm install ${install}`);
  }
}

/** A broker cannot be reached, refuses this client, or takes nothing now. Credentials are never in the message. */
export class BrokerUnavailableError extends SagazError {
  readonly code = 'SAGAZ_BROKER_UNAVAILABLE';

  /**
   * @param place which broker, where
   * @param refused it answered and will not have this client, such as for its credentials: waiting does not help
   */
  constructor(
    place: string,
    reason: string,
    readonly refused = false,
  ) {
    super(`${place} ${refused ? 'refuses this client' : 'is not available'}: ${reason}`);
  }
}

/** A transport that cannot repeat a message, or a message without an id. */
export class InboxTransportError extends SagazError {
  readonly code = 'SAGAZ_INBOX_TRANSPORT';
}

/** A message is older than the window, so nobody knows whether it has taken effect. */
export class MessageExpiredError extends SagazError {
  readonly code = 'SAGAZ_MESSAGE_EXPIRED';
}
