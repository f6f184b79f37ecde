import { DataSource } from 'typeorm';
import type { MessageBroker, Outbox, OutboxEventInput, SagaOrchestrator } from 'nestjs-sagaz';

/** What the benches use of the library beyond its exports: only there can group commit be switched off. */
interface Internals {
  typeOrmPersistence(application: DataSource, options: object): unknown;
  resolveOptions(options: object, environment: object): unknown;
  uuidV7(): string;
  tablesOf(schema: string): unknown;
  claimSql(tables: unknown): string;
  readonly systemClock: unknown;
  readonly PrometheusExporter: new (settings: object, runtime: ObservedRuntime) => Started;
  readonly OtelTracer: new (api: object, tracer: object) => object;
  logEvents(settings: object): () => void;
  readonly SagazRuntime: new (settings: object) => Runtime;
}

interface Started {
  start(): void;
  stop(): void;
}

/** What can be watched of an application. */
export interface ObservedRuntime {
  readonly workerId: string;
  readonly tracing: { use(tracer: object | undefined): void };
}

interface Runtime extends ObservedRuntime {
  readonly outbox: Outbox;
  readonly orchestrator: SagaOrchestrator;
  open(): Promise<void>;
  begin(): Promise<void>;
  drain(): Promise<void>;
  close(): Promise<void>;
}

/** The library as an application has it, with the options of production, without Nest around it. */
export interface Library {
  readonly orchestrator: SagaOrchestrator;
  readonly runtime: ObservedRuntime;
  /** Claims sagas from now on; register them before. */
  begin(): Promise<void>;
  close(): Promise<void>;
}

const QUIET = { log: () => undefined, warn: console.warn, error: console.error };

export async function openLibrary(url: string, { groupCommit = true } = {}): Promise<Library> {
  const { runtime, close } = await openRuntime(url, {}, groupCommit ? {} : { groupCommit: false });
  return { orchestrator: runtime.orchestrator, runtime, begin: () => runtime.begin(), close };
}

/** The relay of one process, which starts at once; sagas are left alone. */
export async function openRelay(url: string, broker: MessageBroker): Promise<{ close(): Promise<void> }> {
  const { begin, close } = await prepareRelay(url, broker);
  await begin();
  return { close };
}

/** The same, which starts when it is told to. */
export async function prepareRelay(
  url: string,
  broker: MessageBroker,
): Promise<{ begin(): Promise<void>; close(): Promise<void> }> {
  const { runtime, close } = await openRuntime(url, { broker, worker: { sagas: false } }, {});
  return { begin: () => runtime.begin(), close };
}

/** A process that writes events in transactions of its own, and leaves the rest to others. */
export interface Writer {
  transaction<T>(
    work: (publish: (event: OutboxEventInput) => Promise<unknown>, query: Query) => Promise<T>,
  ): Promise<T>;
  close(): Promise<void>;
}

type Query = (text: string, parameters: unknown[]) => Promise<unknown>;

export async function openWriter(url: string): Promise<Writer> {
  const { runtime, application, close } = await openRuntime(url, { worker: false }, {});
  return {
    transaction: (work) =>
      application.transaction((manager) =>
        work(
          (event) => runtime.outbox.publish(manager, event),
          (text, parameters) => manager.query(text, parameters),
        ),
      ),
    close,
  };
}

/** Makes the library's tables. */
export async function migrate(url: string): Promise<void> {
  await (await openRuntime(url, { worker: false }, {})).close();
}

async function openRuntime(url: string, given: object, switches: object) {
  const { typeOrmPersistence, SagazRuntime, resolveOptions, systemClock } = await internals();
  const application = await new DataSource({ type: 'postgres', url }).initialize();
  const persistence = typeOrmPersistence(application, { schema: undefined, migrations: 'run', ...switches });
  const options = resolveOptions(given, {});
  const runtime = new SagazRuntime({ options, persistence, clock: systemClock, log: QUIET });
  await runtime.open();
  const close = async () => {
    await runtime.drain();
    await runtime.close();
    await application.destroy();
  };
  return { runtime, application, close };
}

export async function internals(): Promise<Internals> {
  const load = (path: string) => import(new URL(`../esm/${path}`, import.meta.url).href) as Promise<object>;
  const modules = await Promise.all(
    [
      'persistence/typeorm/typeorm-persistence.js',
      'sagaz-runtime.js',
      'options/resolve-options.js',
      'events/uuid-v7.js',
      'persistence/typeorm/identifiers.js',
      'persistence/typeorm/sql/saga-sql.js',
      'runtime/clock.js',
      'observability/prometheus/prometheus-exporter.js',
      'observability/opentelemetry/otel-tracer.js',
      'observability/logging/event-log.js',
    ].map(load),
  );
  return Object.assign({}, ...modules) as Internals;
}
