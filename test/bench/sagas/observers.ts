import * as api from '@opentelemetry/api';
import {
  BatchSpanProcessor,
  NodeTracerProvider,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  type SpanExporter,
} from '@opentelemetry/sdk-trace-node';
import { pino } from 'pino';
import * as client from 'prom-client';
import { internals, type ObservedRuntime } from '../library.js';

const SAMPLED = 0.1;

/** Takes spans as a collector does, and keeps none. */
const NOWHERE: SpanExporter = {
  export: (_spans, done) => done({ code: 0 }),
  shutdown: () => Promise.resolve(),
};

/**
 * Watches an application as one in production is watched: every metric, a log at info as JSON, one trace of ten. Only until it
 * is ended: channels and contexts belong to the process, and what runs beside it is not to be watched.
 */
export async function observe(runtime: ObservedRuntime): Promise<() => Promise<void>> {
  const { PrometheusExporter, OtelTracer, logEvents } = await internals();
  const metrics = new PrometheusExporter({ client, register: new client.Registry(), labels: {} }, runtime);
  metrics.start();
  const traces = traceSome();
  runtime.tracing.use(new OtelTracer(api, traces.tracer));
  const logger = openLog();
  const write = (line: object) => logger.write(line);
  const log = { log: write, warn: write, error: write, debug: write };
  const endLog = logEvents({ workerId: runtime.workerId, log, debugs: () => false });
  return async () => {
    endLog();
    metrics.stop();
    runtime.tracing.use(undefined);
    await traces.end();
    logger.end();
  };
}

/** Registers an SDK that samples one trace of ten. */
export function traceSome(): { readonly tracer: api.Tracer; end(): Promise<void> } {
  const provider = new NodeTracerProvider({
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(SAMPLED) }),
    spanProcessors: [new BatchSpanProcessor(NOWHERE)],
  });
  provider.register();
  const end = async () => {
    await provider.shutdown();
    for (const part of [api.trace, api.context, api.propagation]) part.disable();
  };
  return { tracer: provider.getTracer('bench'), end };
}

/** A log at info, written as pino writes by default. */
export function openLog(): { write(line: object): void; end(): void } {
  const stream = pino.destination('/dev/null');
  const logger = pino({ level: 'info' }, stream);
  return { write: (line) => logger.info(line), end: () => stream.end() };
}
