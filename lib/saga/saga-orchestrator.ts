import { canonicalHash } from '../events/canonical-json.js';
import { uuidV7 } from '../events/uuid-v7.js';
import type { Clock } from '../runtime/clock.js';
import { parseDuration, type Duration } from '../runtime/duration.js';
import type { Log } from '../runtime/log.js';
import type { Telemetry } from '../runtime/telemetry.js';
import type { OpenSpan, TraceHeaders, Tracing } from '../runtime/tracing.js';
import type { WorkerIdentity } from '../runtime/worker-identity.js';
import { readDefinitions } from './definition/definition-source.js';
import type { SagaDefinition } from './definition/saga-definition.js';
import { planOf, type SagaPlan } from './definition/saga-plan.js';
import type { SagaRegistry } from './definition/saga-registry.js';
import { validInput } from './definition/standard-schema.js';
import type { InputOf, ResultsOf, SagaRef } from './definition/saga-types.js';
import { readySteps } from './execution/decisions.js';
import { EndWatch } from './execution/end-watch.js';
import type { SagaExecutor } from './execution/saga-executor.js';
import {
  resultOf,
  snapshotOf,
  type ResultRow,
  type SagaResult,
  type SagaSnapshot,
} from './execution/saga-result.js';
import { sagaAttributes } from './execution/saga-trace.js';
import { untouched } from './execution/saga-state.js';
import type { ClaimedSaga, CreatedSaga, NewSaga, SagaStorage } from './saga-storage.js';
import { Signaller, type SagaTarget, type SignalOptions, type SignalReceipt } from './signaller.js';
import { storedJson } from './stored-json.js';
import { SagaConflictError, SagaInputError, SagaResultTimeoutError, ShutdownError } from './state/errors.js';
import { findSaga, sagaNotFound } from './find-saga.js';
import { refusedCancel } from './refused-cancel.js';

export interface ExecuteOptions {
  /** Same key and same input: the saga that is there. Same key and other input: SagaConflictError. */
  idempotencyKey?: string | undefined;
  /** For people: found again in lists. */
  tags?: Readonly<Record<string, string>> | undefined;
  /** Travels into contexts and events. Default: the saga id. */
  correlationId?: string | undefined;
  /** Bounds only the wait for the result; the saga goes on. Default: none. */
  timeout?: Duration | undefined;
  /** Default: the newest that is registered. */
  version?: number | undefined;
}

export interface StartOptions<Tx = unknown> extends Omit<ExecuteOptions, 'timeout'> {
  /** The caller's transaction: the saga exists if and only if it commits. */
  manager?: Tx | undefined;
  /** Starts so long after now; its time-out and the delays of its steps count from then. Default: at once. */
  delay?: Duration | undefined;
}

export interface ResultOptions {
  timeout?: Duration | undefined;
}

export interface SagaHandle<R = Record<string, unknown>> {
  readonly sagaId: string;
  result(options?: ResultOptions): Promise<SagaResult<R>>;
}

export interface OrchestratorSettings<Tx> {
  readonly storage: SagaStorage<Tx>;
  readonly registry: SagaRegistry;
  readonly executor: SagaExecutor;
  readonly identity: WorkerIdentity;
  readonly clock: Clock;
  readonly log: Log;
  readonly telemetry: Telemetry;
  readonly tracing?: Tracing;
  readonly maxInputBytes: number;
  /** Called after a saga was created that this process does not run itself. */
  readonly wake: () => void;
  /** Called for a saga that is waited for and does not run here. */
  readonly claimAwaited: (sagaId: string) => Promise<void>;
}

/** Starts sagas and waits for their results. */
export class SagaOrchestrator<Tx = unknown> {
  private closed = false;
  /** Wakes the waits for results. */
  private readonly sleepers = new Set<() => void>();
  private readonly watch: EndWatch;
  private readonly signaller: Signaller;
  /** Definitions that are known to be stored. */
  private readonly stored = new Set<SagaDefinition>();

  constructor(private readonly settings: OrchestratorSettings<Tx>) {
    this.watch = new EndWatch(settings);
    this.signaller = new Signaller({ ...settings, maxPayloadBytes: settings.maxInputBytes });
  }

  /**
   * Starts a saga and waits for its end, in whichever process that comes. Resolves for every end: look at `status`.
   * @throws SagaNotFoundError, SagaInputError, PayloadTooLargeError, SagaConflictError: faults of the call, nothing was
   * started; SagaResultTimeoutError when `timeout` ran out, the saga goes on
   */
  async execute<T extends SagaRef>(
    saga: T,
    input: InputOf<T>,
    options: ExecuteOptions = {},
  ): Promise<SagaResult<ResultsOf<T>>> {
    const { timeout, ...rest } = options;
    const handle = await this.start(saga, input, rest);
    return handle.result({ timeout });
  }

  /**
   * Starts a saga and returns as soon as that is durable; with `manager`, once the caller's transaction has committed.
   * @throws SagaNotFoundError, SagaInputError, PayloadTooLargeError, SagaConflictError
   */
  async start<T extends SagaRef>(
    saga: T,
    input: InputOf<T>,
    options: StartOptions<Tx> = {},
  ): Promise<SagaHandle<ResultsOf<T>>> {
    const definition = this.settings.registry.resolve(saga, options.version);
    const schema = definition.input;
    const valid = schema ? await validInput(definition.name, schema, input) : input;
    const text = this.inputText(definition, valid);
    const { outcome, sagaId } = await this.begin(definition, text, options);
    if (outcome === 'conflict') throw conflict(definition.name, sagaId, options.idempotencyKey);
    return { sagaId, result: (wait) => this.result<ResultsOf<T>>(sagaId, wait) };
  }

  /**
   * Waits for the end of a saga, in whichever process that comes.
   * @throws SagaNotFoundError, SagaResultTimeoutError, ShutdownError when this process ends before the saga does
   */
  async result<R = Record<string, unknown>>(
    sagaId: string,
    { timeout }: ResultOptions = {},
  ): Promise<SagaResult<R>> {
    const { clock, executor } = this.settings;
    const limitMs = timeout === undefined ? Infinity : millisOf('timeout', timeout);
    const until = clock.monotonic() + limitMs;
    for (;;) {
      const over = executor.over(sagaId);
      const result = over ? undefined : resultOf<R>(await findSaga(this.settings.storage, sagaId));
      if (result) return result;
      if (!over) await this.settings.claimAwaited(sagaId);
      const left = until - clock.monotonic();
      if (left <= 0) throw new SagaResultTimeoutError(sagaId, limitMs);
      if (this.closed)
        throw new ShutdownError(
          `this process is shutting down; saga ${sagaId} goes on, ask for its result later`,
        );
      const ended = await this.pause(left, sagaId, over);
      const own = ended && resultOf<R>(ended);
      if (own) return own;
    }
  }

  /** @throws SagaNotFoundError */
  async get(sagaId: string): Promise<SagaSnapshot> {
    return snapshotOf(await findSaga(this.settings.storage, sagaId));
  }

  /**
   * Cancels a saga, in whichever process it runs: it turns back and ends `compensated` with the code SAGAZ_CANCELLED.
   * Resolves as soon as that is durable; `result` waits for the end. A saga that is turning back already just goes on.
   * @throws SagaNotFoundError; SagaNotCancellableError once the pivot was launched or the saga has ended
   */
  async cancel(sagaId: string): Promise<void> {
    const answer = await this.settings.storage.requestCancel(sagaId);
    if (answer === 'not_found') throw sagaNotFound(sagaId);
    if (answer === 'too_late') {
      const { status } = await this.get(sagaId);
      throw refusedCancel(sagaId, status);
    }
    const { executor, wake } = this.settings;
    await executor.cancel(sagaId);
    wake();
  }

  /**
   * Sends a message to one saga, in whichever process it runs or waits: the step whose `waitFor` is this name starts with
   * it, now or when its turn comes. Resolves as soon as that is durable.
   * @param payload what JSON can hold; default null
   * @throws SagaNotFoundError; SagaInputError for a name that no step waits for, or a payload that JSON cannot hold;
   * PayloadTooLargeError; SignalTooLateError once the saga has ended or turned back: then nothing was stored
   */
  // eslint-disable-next-line no-restricted-syntax -- as everybody knows it: to whom, what, with what
  signal(
    target: SagaTarget,
    name: string,
    payload: unknown = null,
    options: SignalOptions = {},
  ): Promise<SignalReceipt> {
    return this.signaller.send(target, { name, payload, ...options });
  }

  /**
   * Adds a saga to this process, with the module's defaults; a definition that is registered already is left as it is.
   * Register it in every process that is to run it: before the application listens, so that none of its sagas waits.
   * @throws SagaDefinitionError with every fault
   */
  register(definition: SagaDefinition<never, unknown>): void {
    const { registry, log } = this.settings;
    if (registry.has(definition)) return;
    const { sources, faults } = readDefinitions([definition], 'orchestrator.register');
    for (const { kind, message } of registry.register(sources, faults)) log.warn(`${message} [${kind}]`);
  }

  /**
   * What a saga would do: its order and, for a failure at each step, its undos. Nothing is run.
   * @throws SagaNotFoundError
   */
  plan(saga: SagaRef, { version }: Pick<ExecuteOptions, 'version'> = {}): SagaPlan {
    return planOf(this.settings.registry.resolve(saga, version));
  }

  /** Ends every wait for a result. */
  close(): void {
    this.closed = true;
    for (const wake of [...this.sleepers]) wake();
  }

  /** In a span that goes on as that of the saga when it runs here. */
  private begin(definition: SagaDefinition, input: string, options: StartOptions<Tx>): Promise<CreatedSaga> {
    const { tracing } = this.settings;
    const { name, version } = definition;
    const sagaId = uuidV7();
    const attributes = sagaAttributes({ sagaId, name, version });
    const span = tracing?.begin({ name: `saga ${name}`, attributes });
    const fresh = this.newSaga(
      definition,
      input,
      Object.assign({}, options, { sagaId, headers: span?.headers }),
    );
    const stored = this.stored.has(definition) ? undefined : () => this.storeDefinition(definition);
    return this.create(fresh, options.manager, { span, before: stored });
  }

  private newSaga(definition: SagaDefinition, input: string, options: Born & StartOptions<Tx>): NewSaga {
    const { executor, identity } = this.settings;
    const { sagaId } = options;
    // In the caller's transaction a saga is born unowned: it is claimed once that has committed.
    const delayMs = options.delay === undefined ? undefined : millisOf('delay', options.delay);
    const atOnce = options.manager === undefined && delayMs === undefined;
    const here = atOnce && identity.remainingMs() > 0 && executor.reserve(sagaId);
    const launch = here ? readySteps(definition, untouched(definition)) : [];
    const { pivot } = definition.graph;
    return {
      sagaId,
      name: definition.name,
      version: definition.version,
      definition: definition.hash,
      input,
      idempotencyKey: options.idempotencyKey,
      inputHash: options.idempotencyKey === undefined ? '' : canonicalHash(input),
      correlationId: options.correlationId ?? sagaId,
      headers: options.headers,
      tags: options.tags ?? {},
      owner: here ? identity.id : undefined,
      launch,
      launchesPivot: pivot !== undefined && launch.includes(pivot),
      timeoutMs: definition.options.timeout,
      delayMs,
    };
  }

  /** Before its first saga: whoever takes one over later may not have its code any more. */
  private async storeDefinition(definition: SagaDefinition): Promise<void> {
    const { name, version, hash, data } = definition;
    await this.settings.storage.saveDefinition({ name, version, hash, data: JSON.stringify(data) });
    this.stored.add(definition);
  }

  private inputText({ name }: SagaDefinition, input: unknown): string {
    return storedJson(input, { what: 'input', of: `saga "${name}"`, maxBytes: this.settings.maxInputBytes });
  }

  /** Should the reply be lost, the place is given back, and the worker claims the saga if it is there. */
  private async create(
    saga: NewSaga,
    manager: Tx | undefined,
    { span, before }: Creation,
  ): Promise<CreatedSaga> {
    const { storage, executor, wake } = this.settings;
    try {
      if (before) await before();
      const created = await storage.create(saga, manager, wake);
      const here = created.outcome === 'created' && saga.owner !== undefined;
      if (here) executor.accept(ownedHere(saga), span);
      else span?.end();
      if (!here && created.outcome === 'created' && manager === undefined) wake();
      return created;
    } catch (error) {
      span?.end(error);
      // Its reply may have been lost.
      if (saga.owner !== undefined) executor.lose(saga.sagaId);
      throw error;
    } finally {
      executor.forgo(saga.sagaId);
    }
  }

  /**
   * Until the saga no longer runs here, or has ended elsewhere, or the time is up, or this process closes.
   * @returns how it ended, if that was here
   */
  private pause(ms: number, sagaId: string, over: Promise<ResultRow | undefined> | undefined) {
    return new Promise<ResultRow | undefined>((resolve) => {
      const wake = (ended?: ResultRow) => {
        this.sleepers.delete(wake);
        cancel?.();
        forget?.();
        resolve(ended);
      };
      this.sleepers.add(wake);
      const cancel = ms < Infinity ? this.settings.clock.after(ms, wake) : undefined;
      const forget = over ? undefined : this.watch.add(sagaId, wake);
      void over?.then(wake);
    });
  }
}

interface Creation {
  readonly span: OpenSpan | undefined;
  readonly before: (() => Promise<void>) | undefined;
}

/** What a saga has from its start on. */
interface Born {
  readonly sagaId: string;
  readonly headers: TraceHeaders | undefined;
}

function ownedHere(saga: NewSaga): ClaimedSaga {
  const { sagaId, name, version, definition, input, correlationId, headers, launch } = saga;
  return {
    sagaId,
    name,
    version,
    definition,
    epoch: 1,
    status: 'running',
    input,
    correlationId,
    headers,
    launch,
    journal: NONE,
    ageMs: 0,
    silentMs: undefined,
    orphaned: false,
    cancelRequested: false,
    deadlineInMs: saga.timeoutMs,
    signals: NONE,
  };
}

const NONE: readonly never[] = [];

function millisOf(option: string, value: Duration): number {
  const ms = parseDuration(value);
  if (ms !== undefined) return ms;
  throw new SagaInputError(`${option}: expected a duration such as 250, '250ms', '5s', got ${String(value)}`);
}

function conflict(name: string, sagaId: string, key: string | undefined): SagaConflictError {
  return new SagaConflictError(
    `idempotency key "${key}" of saga "${name}" was used with another input, by saga ${sagaId}`,
  );
}
