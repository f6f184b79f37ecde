import type { EventRules } from '../../lib/events/event-factory.js';
import type { OutboxRecord } from '../../lib/events/outbox-event.js';
import { MemoryDatabase } from '../../lib/persistence/memory/memory-database.js';
import { MemoryInterventionStorage } from '../../lib/persistence/memory/memory-intervention-storage.js';
import { MemorySagaStorage } from '../../lib/persistence/memory/memory-saga-storage.js';
import { MemoryWorkerStorage } from '../../lib/persistence/memory/memory-worker-storage.js';
import { buildDefinition } from '../../lib/saga/definition/build-definition.js';
import type { SagaDefinition } from '../../lib/saga/definition/saga-definition.js';
import type { SagaDraft } from '../../lib/saga/definition/saga-draft.js';
import {
  SAGA_DEFAULTS,
  type CompensateOptions,
  type SagaDefaults,
  type StepOptions,
} from '../../lib/saga/definition/saga-options.js';
import type { ActionContext, ProbingContext, UndoContext } from '../../lib/saga/definition/context.js';
import { noProbe } from '../../lib/runtime/debug-points.js';
import { harmless } from '../../lib/runtime/log.js';
import { Telemetry } from '../../lib/runtime/telemetry.js';
import { SagaRegistry } from '../../lib/saga/definition/saga-registry.js';
import { SagaExecutor } from '../../lib/saga/execution/saga-executor.js';
import { SagaWorker } from '../../lib/saga/recovery/saga-worker.js';
import { WorkerLease } from '../../lib/saga/recovery/worker-lease.js';
import { SagaOrchestrator } from '../../lib/saga/saga-orchestrator.js';
import { readySteps } from '../../lib/saga/execution/decisions.js';
import { resultOf, type SagaResult } from '../../lib/saga/execution/saga-result.js';
import { SagaRunner, type RunEnd } from '../../lib/saga/execution/saga-runner.js';
import { initialState } from '../../lib/saga/execution/saga-fold.js';
import type { Appended, ClaimedSaga, LateResult, SagaWrite } from '../../lib/saga/saga-storage.js';
import { SagaDefinitionError } from '../../lib/saga/state/errors.js';
import { FakeClock } from './fake-clock.js';
import { MemoryLog } from './memory-log.js';

type Values = Record<string, unknown>;
export type Action = ActionContext<Values, Values, unknown>;
export type Undo = UndoContext<Values, unknown, Values, unknown>;
export type Probing = ProbingContext<Values, Values, unknown>;

/** A step as a test writes it. */
export interface TestStep extends Omit<StepOptions, 'probe'> {
  /** Default: does nothing. */
  readonly run?: (ctx: Action) => unknown;
  /** Default: none. */
  readonly undo?: (ctx: Undo) => unknown;
  readonly undoOptions?: CompensateOptions;
  /** Default: none. What it returns is not checked, as that of a user is not. */
  readonly probe?: (ctx: Probing) => unknown;
}

export type TestSteps = Readonly<Record<string, TestStep>>;

/** Retries without chance and without long pauses, so that a test knows when the next attempt comes. */
export const QUICK = { initialInterval: 10, maxInterval: 40, jitter: 'none' } as const;

export function draftOf(steps: TestSteps, options: SagaDefaults = {}): SagaDraft {
  const entries = Object.entries(steps);
  return {
    name: 'trip',
    version: 1,
    place: 'Trip',
    retired: false,
    options,
    steps: entries.map(([name, { run, undo: _, undoOptions: __, probe, dependsOn, ...rest }]) => ({
      name,
      dependsOn,
      options: rest,
      handler: (ctx) => run?.(ctx as Action),
      probe: probe && ((ctx) => probe(ctx as Probing)),
      place: `Trip.${name}`,
      foreign: false,
    })),
    compensations: entries.flatMap(([step, { undo, undoOptions: { after, ...options } = {} }]) =>
      undo
        ? [
            {
              step,
              after,
              options,
              handler: (ctx: unknown) => undo(ctx as Undo),
              place: `Trip.undo ${step}`,
            },
          ]
        : [],
    ),
  };
}

/** A saga named `trip`; without any `dependsOn` its steps run in the order they are written. */
export function saga(steps: TestSteps, options: SagaDefaults = {}): SagaDefinition {
  const quick = { retry: QUICK, compensationRetry: QUICK, ...options };
  const { definition, faults } = buildDefinition(draftOf(steps, quick), SAGA_DEFAULTS);
  if (!definition) throw new SagaDefinitionError(faults);
  return definition;
}

export interface TestRun {
  readonly sagaId: string;
  readonly epoch: number;
  readonly runner: SagaRunner;
  readonly done: Promise<RunEnd>;
}

/** Memory storage that can be made to fail, and that knows what a deadlock is. */
class TestStorage extends MemorySagaStorage {
  /** Called before each write; may throw. */
  beforeWrite: (write: SagaWrite) => void | Promise<void> = () => undefined;

  /** Called after each write was stored; may throw: its reply is lost. */
  afterWrite: (write: SagaWrite) => void | Promise<void> = () => undefined;

  override async append(write: SagaWrite): Promise<Appended> {
    await this.beforeWrite(write);
    const appended = await super.append(write);
    await this.afterWrite(write);
    return appended;
  }

  override isTransient(error?: unknown): boolean {
    return (error as { code?: unknown } | undefined)?.code === '40P01';
  }
}

/** One database and its sagas, with time that a test lets pass. */
export class SagaWorld {
  readonly clock = new FakeClock();
  readonly database = new MemoryDatabase();
  readonly storage = new TestStorage(this.database, this.clock);
  readonly interventions = new MemoryInterventionStorage(this.database, this.storage, this.clock);
  readonly workers = new MemoryWorkerStorage(this.database, this.clock);
  readonly rules: EventRules = {
    route: () => ['default'],
    destinations: new Set(['default']),
    maxBytes: 10_000,
  };
  readonly log = new MemoryLog();
  /** As the runtime hands it to its parts. */
  private readonly safeLog = harmless(this.log);
  readonly telemetry = new Telemetry('of this process', this.clock, this.safeLog);
  /** Of every worker. */
  readonly leaseMs = 10_000;
  maxResultBytes = 10_000;
  /** What the lease of the process that runs the sagas still holds. */
  remainingMs = Infinity;
  relayWoken = 0;
  private count = 0;
  private readonly killed = new Set<string>();

  /** Starts a saga, as the orchestrator does in the process that runs it. */
  async start(definition: SagaDefinition, input: Values = {}, owner = 'one'): Promise<TestRun> {
    const sagaId = `saga-${++this.count}`;
    const launch = readySteps(definition, initialState(definition, []));
    const { name, version } = definition;
    const created = {
      sagaId,
      name,
      version,
      definition: definition.hash,
      input: JSON.stringify(input),
      correlationId: `of ${sagaId}`,
      launch,
    };
    await this.storage.create({
      ...created,
      ...{ idempotencyKey: undefined, inputHash: '', tags: {}, owner },
      ...{
        launchesPivot: launch.includes(definition.graph.pivot ?? ''),
        timeoutMs: definition.options.timeout,
        delayMs: undefined,
      },
    });
    const fresh = { epoch: 1, status: 'running', journal: [], silentMs: undefined, orphaned: false } as const;
    const claim = { cancelRequested: false, ageMs: 0, signals: [], deadlineInMs: definition.options.timeout };
    return this.go({ ...created, ...fresh, ...claim }, definition);
  }

  /** Another process takes over the saga of a worker that was not heard of for the lease of 10 s. */
  async takeOver(sagaId: string, definition: SagaDefinition, owner = 'two'): Promise<TestRun> {
    return this.go(await this.claim(sagaId, definition, owner), definition);
  }

  /** The first half of a takeover: the saga belongs to the other process, which has not begun to run it. */
  async claim(sagaId: string, definition: SagaDefinition, owner = 'two'): Promise<ClaimedSaga> {
    const claimed = await this.storage.claim({
      ...{ workerId: owner, versions: [definition], held: [], lost: [], limit: 100 },
    });
    const found = claimed.find((it) => it.sagaId === sagaId);
    if (!found) throw new Error(`${sagaId} cannot be claimed`);
    return found;
  }

  /** Nothing that this run still does reaches the database, and nothing begins in it. */
  kill({ sagaId, epoch }: TestRun): void {
    this.killed.add(`${sagaId} ${epoch}`);
    this.storage.beforeWrite = (write) => {
      if (write.epoch === epoch) throw new Error('this process is dead');
    };
  }

  /** Starts a saga and lets time pass until it has ended. */
  async execute(definition: SagaDefinition, input: Values = {}): Promise<SagaResult> {
    const { sagaId, done } = await this.start(definition, input);
    await this.clock.until(done);
    return this.finish(sagaId, definition);
  }

  /** Lets time pass until a saga that was let go of has ended; other processes take it whenever it is due. */
  async finish(sagaId: string, definition: SagaDefinition): Promise<SagaResult> {
    for (let takeovers = 1; this.database.unfinished.size > 0; takeovers++) {
      const { wakeAt = 0 } = this.database.sagas.get(sagaId) ?? {};
      await this.clock.advance(Math.max(0, wakeAt - this.clock.monotonic()));
      await this.clock.until((await this.takeOver(sagaId, definition, `later ${takeovers}`)).done);
    }
    return this.result(sagaId);
  }

  async result(sagaId: string): Promise<SagaResult> {
    const row = await this.storage.find(sagaId);
    const result = row && resultOf(row);
    if (!result) throw new Error(`${sagaId} has not ended: ${row?.status}`);
    return result;
  }

  async status(sagaId: string): Promise<string | undefined> {
    return (await this.storage.find(sagaId))?.status;
  }

  /** The journal in short: kind, step and what it launched. */
  async journal(sagaId: string): Promise<string[]> {
    const entries = await this.storage.journal(sagaId);
    return entries.map(({ kind, step, launch }) =>
      [kind, ...(step === null ? [] : [step]), ...(launch.length > 0 ? [`-> ${launch.join(' ')}`] : [])].join(
        ' ',
      ),
    );
  }

  /** Types of the events that are waiting to be relayed. */
  get events(): readonly string[] {
    return [...this.database.events.values()].map(({ type }: OutboxRecord) => type);
  }

  /** Every run that a late result has started. */
  readonly reopened: TestRun[] = [];

  private async reopen(late: Omit<LateResult, 'workerId'>, definition: SagaDefinition): Promise<void> {
    const claimed = await this.storage.reopen({ ...late, workerId: 'late' });
    if (claimed) this.reopened.push(this.go(claimed, definition));
  }

  /** Begins to run a saga, in this very moment. */
  go(claimed: ClaimedSaga, definition: SagaDefinition): TestRun {
    const { storage, clock, safeLog: log, leaseMs, rules: events, maxResultBytes } = this;
    const wakeRelay = () => {
      this.relayWoken++;
    };
    const run = `${claimed.sagaId} ${claimed.epoch}`;
    const remainingMs = () => (this.killed.has(run) ? 0 : this.remainingMs);
    const identity = { id: 'of this process', remainingMs };
    const lateResult = (late: Omit<LateResult, 'workerId'>) => {
      if (!this.killed.has(run)) void this.reopen(late, definition);
    };
    const settings = {
      ...{ storage, identity, leaseMs, clock, log, events, maxResultBytes, wakeRelay, lateResult },
      telemetry: this.telemetry,
      wakeClaims: () => undefined,
      reach: noProbe,
    };
    const runner = new SagaRunner(claimed, definition, settings);
    const done = runner.run();
    done.catch(() => undefined);
    return { sagaId: claimed.sagaId, epoch: claimed.epoch, runner, done };
  }
}

/** The parts of one process: its lease, its executor, its worker, and what its callers use. Only the executor is started. */
export function processOf(
  world: SagaWorld,
  sagas: SagaDefinition | SagaRegistry,
  id: string,
  maxSagas = 100,
) {
  const { storage, workers, clock, leaseMs, rules: events } = world;
  const log = new MemoryLog();
  const registry = sagas instanceof SagaRegistry ? sagas : new SagaRegistry();
  if (!(sagas instanceof SagaRegistry)) registry.add(sagas);
  const telemetry = new Telemetry(id, clock, log);
  const common = { storage, workers, clock, log, registry, leaseMs, telemetry };
  const lease = new WorkerLease({
    ...{ ...common, id, found: () => worker.wake(), definitions: () => registry.versions() },
    lost: (reason) => void executor.abandon(reason),
  });
  const executor: SagaExecutor = new SagaExecutor({
    ...common,
    identity: lease,
    events,
    reach: noProbe,
    maxSagas,
    maxClaims: 5,
    maxResultBytes: 1_000,
    wakeRelay: () => undefined,
    wakeClaims: () => worker.wake(),
  });
  const worker: SagaWorker = new SagaWorker({ ...common, identity: lease, executor });
  const orchestrator = new SagaOrchestrator<undefined>({
    ...{ ...common, identity: lease, executor, maxInputBytes: 1_000 },
    wake: () => worker.wake(),
    claimAwaited: (sagaId) => worker.claimAwaited(sagaId),
  });
  executor.start();
  return { lease, executor, worker, orchestrator, log };
}
