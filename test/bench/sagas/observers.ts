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
  const provider = new NodeTracerProvider({
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(SAMPLED) }),
    spanProcessors: [new BatchSpanProcessor(NOWHERE)],
  });
  provider.register();
  runtime.tracing.use(new OtelTracer(api, provider.getTracer('bench')));
  const stream = pino.destination({ dest: '/dev/null', sync: false });
  const logger = pino({ level: 'info' }, stream);
  const write = (line: object) => logger.info(line);
  const log = { log: write, warn: write, error: write, debug: write };
  const endLog = logEvents({ workerId: runtime.workerId, log, debugs: () => false });
  return async () => {
    endLog();
    metrics.stop();
    runtime.tracing.use(undefined);
    await provider.shutdown();
    for (const part of [api.trace, api.context, api.propagation]) part.disable();
    stream.end();
  };
}
