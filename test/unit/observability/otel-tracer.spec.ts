import * as api from '@opentelemetry/api';
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import { OtelTracer } from '../../../lib/observability/opentelemetry/otel-tracer.js';

describe('OtelTracer', () => {
  it.each([
    ['null', null],
    ['a text', 'no'],
    ['an error', new Error('no')],
  ])('ends a span that failed with %s', (_, thrown) => {
    const exporter = new InMemorySpanExporter();
    const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
    const tracer = new OtelTracer(api, provider.getTracer('test'));
    tracer.begin({ name: 'step', attributes: {} }).end(thrown);
    const [span] = exporter.getFinishedSpans();
    expect(span?.status.code).toBe(api.SpanStatusCode.ERROR);
    expect(span?.events).toHaveLength(1);
  });
});
