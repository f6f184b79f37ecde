import { SagaInputError } from '../saga/state/errors.js';
import type {
  ActionResult,
  BarrierCommand,
  BarrierStorage,
  KnownAction,
  UndoResult,
} from './barrier-storage.js';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/**
 * For a service that does and undoes steps of sagas of others, and is told so by messages that may come twice or in the wrong
 * order: an action takes effect once, an undo takes effect once, and an action that comes after its undo never does. Within
 * `ConsumerInbox.process`, an `@IdempotentConsumer`, a transactional step or `outbox.transaction` they are part of that
 * transaction, each in a nested one.
 */
export class SagaBarrier<Tx = unknown> {
  constructor(private readonly storage: BarrierStorage<Tx>) {}

  /** Runs the work, in a transaction, unless it was done before or its undo came first. @throws SagaInputError */
  action<T>(command: BarrierCommand, work: (manager: Tx) => Promise<T>): Promise<ActionResult<T>> {
    check(command);
    return this.storage.action(command, work);
  }

  /**
   * Runs the undo, in a transaction, if the action was done here; notes it otherwise. For a saga that is older than what is
   * remembered (option `inbox.barrierRetention`) it runs with `'unknown'`: there may be nothing to undo.
   * @throws SagaInputError
   */
  undo<T>(
    command: BarrierCommand,
    work: (manager: Tx, action: KnownAction) => Promise<T>,
  ): Promise<UndoResult<T>> {
    check(command);
    return this.storage.undo(command, work);
  }
}

function check({ sagaId, step, sagaStartedAt }: BarrierCommand): void {
  if (!UUID.test(sagaId)) throw new SagaInputError('sagaId: expected a UUID');
  if (typeof step !== 'string' || step === '')
    throw new SagaInputError('step: expected a text that is not empty');
  if (!(sagaStartedAt instanceof Date) || Number.isNaN(sagaStartedAt.getTime()))
    throw new SagaInputError('sagaStartedAt: expected a valid Date');
}
