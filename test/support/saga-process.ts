import type { Duplex } from 'node:stream';
import { DataSource } from 'typeorm';
import type { SagazModuleOptions } from '../../lib/options/sagaz-module-options.js';
import { resolveOptions } from '../../lib/options/resolve-options.js';
import { typeOrmPersistence } from '../../lib/persistence/typeorm/typeorm-persistence.js';
import type { Log } from '../../lib/runtime/log.js';
import { noProbe, type DebugProbe } from '../../lib/runtime/debug-points.js';
import { systemClock } from '../../lib/runtime/clock.js';
import { buildDefinition } from '../../lib/saga/definition/build-definition.js';
import type { SagaDefinition } from '../../lib/saga/definition/saga-definition.js';
import {
  SAGA_DEFAULTS,
  type SagaDefaults,
  type StepOptions,
} from '../../lib/saga/definition/saga-options.js';
import { SagazRuntime } from '../../lib/sagaz-runtime.js';
import type { CompensationContext, ProbeContext, SagaContext } from '../../lib/index.js';

type Context = SagaContext<Record<string, unknown>>;

export interface TestStep extends Omit<StepOptions, 'probe' | 'name'> {
  readonly run: (ctx: Context) => unknown;
  readonly undo?: (ctx: CompensationContext<Record<string, unknown>>) => unknown;
  readonly probe?: (ctx: ProbeContext<Record<string, unknown>>) => unknown;
}

/** A saga of plain functions, by the names of its steps. */
export function testSaga(
  steps: Readonly<Record<string, TestStep>>,
  options: SagaDefaults = {},
  name = 'test',
): SagaDefinition {
  const entries = Object.entries(steps);
  const draft = {
    ...{ name, version: 1, retired: false, place: 'TestSaga', options: { settleGrace: 50, ...options } },
    steps: entries.map(([step, { run, undo: _, probe, dependsOn, ...rest }]) => ({
      ...{
        name: step,
        dependsOn,
        options: rest,
        probe: probe as ((context: unknown) => unknown) | undefined,
        place: `TestSaga.${step}`,
        foreign: false,
      },
      handler: run as (context: unknown) => unknown,
    })),
    compensations: entries.flatMap(([step, { undo }]) =>
      undo
        ? [
            {
              step,
              options: {},
              handler: undo as (context: unknown) => unknown,
              place: `TestSaga.${step}Undo`,
            },
          ]
        : [],
    ),
  };
  const { definition, faults } = buildDefinition(draft, SAGA_DEFAULTS);
  if (!definition) throw new Error(JSON.stringify(faults));
  return definition;
}

export interface SagaProcess {
  readonly runtime: SagazRuntime;
  readonly application: DataSource;
  /** Every statement of the engine fails from now on, as if the network to the database were gone. */
  cutOff(): void;
  /** A clean shutdown. */
  stop(): Promise<void>;
}

/** What `cutOff` knows of the engine's pool. */
interface Pool {
  connect(callback: (error: Error) => void): void;
  readonly _clients: readonly { readonly connection: { readonly stream: Duplex } }[];
}

const running = new Set<SagaProcess>();
const quiet = { log: () => undefined, warn: () => undefined, error: () => undefined };

export interface ProcessInternals {
  readonly reach?: DebugProbe;
  /** What a test wants to hear. Default: nothing. */
  readonly log?: Partial<Log>;
}

/** The library as it runs in one process, without Nest: with a DataSource and an engine of its own. */
export async function startSagaProcess(
  url: string,
  sagas: SagaDefinition | readonly SagaDefinition[],
  options: SagazModuleOptions = {},
  { reach = noProbe, log = {} }: ProcessInternals = {},
): Promise<SagaProcess> {
  const application = await new DataSource({ type: 'postgres', url }).initialize();
  const resolved = resolveOptions({ worker: { lease: '500ms' }, shutdownTimeout: '1s', ...options }, {});
  const { notify, orderLock, retention: retentionMs } = resolved.outbox;
  const persistence = typeOrmPersistence(application, {
    ...{ schema: undefined, migrations: 'run', reach, notify, orderLock, retentionMs },
  });
  const runtime = new SagazRuntime({
    options: resolved,
    persistence,
    clock: systemClock,
    log: { ...quiet, ...log },
    reach,
  });
  for (const saga of [sagas].flat()) {
    if (saga.draft.retired) runtime.registry.register([{ draft: saga.draft, source: saga }]);
    else runtime.registry.add(saga);
  }
  await runtime.open();
  await runtime.begin();
  const { engine } = (persistence.sagas as unknown as { settings: { engine: DataSource } }).settings;
  const process: SagaProcess = {
    runtime,
    application,
    cutOff: () => {
      const pool = (engine.driver as unknown as { master: Pool }).master;
      pool.connect = (callback) => callback(new Error('connect ECONNREFUSED'));
      for (const { connection } of pool._clients) connection.stream.destroy();
    },
    stop: async () => {
      running.delete(process);
      await runtime.drain();
      await runtime.close();
      await application.destroy();
    },
  };
  running.add(process);
  return process;
}

/** Stops what a test has left running. */
export async function stopSagaProcesses(): Promise<void> {
  await Promise.all([...running].map((process) => process.stop()));
}
