import { uuidV7 } from '../events/uuid-v7.js';
import { didYouMean } from '../runtime/did-you-mean.js';
import { show } from '../runtime/readers.js';
import type { Telemetry } from '../runtime/telemetry.js';
import type { SagaRegistry } from './definition/saga-registry.js';
import type { SagaRef } from './definition/saga-types.js';
import type { SagaExecutor } from './execution/saga-executor.js';
import { findSaga, sagaNotFound } from './find-saga.js';
import type { NewSignal, SagaRow, SagaStorage } from './saga-storage.js';
import { SagaInputError, SagaNotFoundError, SignalTooLateError } from './state/errors.js';
import { isEnded } from './state/saga-status.js';
import { storedJson } from './stored-json.js';

/** A saga by its id, or by the idempotency key that it was started with. */
export type SagaTarget = string | { readonly saga: SagaRef; readonly key: string };

export interface SignalOptions {
  /** The same id counts once for one saga, also after it was used. Default: a new one. At most 200 characters. */
  id?: string | undefined;
}

/** What became of a signal. */
export interface SignalReceipt {
  readonly sagaId: string;
  readonly id: string;
  /** A signal of this id had come before; this one changes nothing. */
  readonly duplicate: boolean;
}

export interface GivenSignal extends SignalOptions {
  readonly name: string;
  readonly payload: unknown;
}

export interface SignallerSettings {
  readonly storage: SagaStorage;
  readonly registry: SagaRegistry;
  readonly executor: SagaExecutor;
  readonly telemetry: Telemetry;
  readonly maxPayloadBytes: number;
  /** Called after a signal for a saga that does not run in this process. */
  readonly wake: () => void;
}

const MAX_ID_LENGTH = 200;

/** Sends signals to sagas, in whichever process they run or wait. */
export class Signaller {
  constructor(private readonly settings: SignallerSettings) {}

  async send(target: SagaTarget, given: GivenSignal): Promise<SignalReceipt> {
    const { storage, telemetry } = this.settings;
    const saga = await this.find(target);
    const signal = this.newSignal(saga, given);
    const { sagaId, id, name } = signal;
    const answer = await storage.signal(signal);
    if (answer === 'not_found') throw sagaNotFound(sagaId);
    if (answer === 'too_late') throw await this.tooLate(signal);
    const duplicate = answer === 'duplicate';
    telemetry.emit('signal.received', () => ({ sagaId, saga: saga.name, signal: name, duplicate }));
    if (!duplicate) await this.handOn(sagaId);
    return { sagaId, id, duplicate };
  }

  private async find(target: SagaTarget): Promise<SagaRow> {
    const sagaId = typeof target === 'string' ? target : await this.idOf(target);
    return findSaga(this.settings.storage, sagaId);
  }

  private async idOf({ saga, key }: Exclude<SagaTarget, string>): Promise<string> {
    const { registry, storage } = this.settings;
    const { name } = registry.resolve(saga);
    const sagaId = await storage.findKey(name, key);
    if (sagaId !== undefined) return sagaId;
    throw new SagaNotFoundError(`there is no saga "${name}" with the idempotency key "${key}"`);
  }

  private newSignal(saga: SagaRow, { name, payload, id = uuidV7() }: GivenSignal): NewSignal {
    const { registry, maxPayloadBytes } = this.settings;
    const of = `signal "${name}" of saga "${saga.name}"`;
    const definition = registry.find(saga.name, saga.version);
    const known = [...(definition?.steps.values() ?? [])].flatMap(({ waitFor }) => waitFor ?? []);
    if (definition && !known.includes(name))
      throw new SagaInputError(`${of}: no step waits for it${didYouMean(name, known)}`);
    if (typeof id !== 'string' || id === '' || id.length > MAX_ID_LENGTH)
      throw new SagaInputError(
        `${of}: id: expected a text of 1 to ${MAX_ID_LENGTH} characters, got ${show(id)}`,
      );
    const text = storedJson(payload, { what: 'payload', of, maxBytes: maxPayloadBytes });
    return { sagaId: saga.sagaId, id, name, payload: text };
  }

  private async tooLate({ sagaId, name }: NewSignal): Promise<Error> {
    const row = await this.settings.storage.find(sagaId);
    const why = row && isEnded(row.status) ? `is ${row.status}` : 'has turned back';
    return new SignalTooLateError(`the signal "${name}" came too late: saga ${sagaId} ${why}`);
  }

  /** A saga that runs here need not find it by itself; one that waits is due. */
  private async handOn(sagaId: string): Promise<void> {
    const { executor, storage, wake } = this.settings;
    if (executor.over(sagaId)) executor.signalled(await storage.signals([{ sagaId, seq: 0 }]));
    else wake();
  }
}
