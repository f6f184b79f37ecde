import 'reflect-metadata';
import { Controller, Injectable, type INestApplication } from '@nestjs/common';
import { EventPattern } from '@nestjs/microservices';
import { context, SpanKind, trace } from '@opentelemetry/api';
import {
  InMemorySpanExporter,
  NodeTracerProvider,
  SimpleSpanProcessor,
  type ReadableSpan,
} from '@opentelemetry/sdk-trace-node';
import {
  Compensate,
  IdempotentConsumer,
  NonRetryableError,
  Saga,
  SagaOrchestrator,
  SagaStep,
  SagazTelemetry,
  type SagaContext,
} from '../../lib/index.js';
import { SagazOpenTelemetryModule } from '../../lib/opentelemetry.js';
import { treeOf } from '../support/span-tree.js';
import { startApplication } from '../support/test-application.js';
import { until } from '../support/until.js';

interface Order {
  readonly id: number;
  readonly refused?: boolean;
}

let calls = 0;

@Saga({ name: 'order', settleGrace: 10, retry: { initialInterval: 1 } })
@Injectable()
class OrderSaga {
  @SagaStep()
  reserve() {
    // A user's own span, as an instrumented client makes it.
    trace.getTracer('shop').startSpan('GET /stock').end();
    return 1;
  }

  @Compensate('reserve')
  release() {
    return undefined;
  }

  @SagaStep({ readOnly: true })
  async charge(ctx: SagaContext<Order>) {
    calls += 1;
    if (ctx.input.refused) throw new NonRetryableError('refused');
    if (calls === 1) throw new Error('line is busy');
    await ctx.publish({ type: 'order.charged', payload: ctx.input.id });
  }
}

@Controller()
class Mail {
  @EventPattern<string>('order.charged')
  @IdempotentConsumer('mail')
  send() {
    trace.getTracer('shop').startSpan('POST /mail').end();
  }
}

const exporter = new InMemorySpanExporter();
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });

const tree = (spans: readonly ReadableSpan[]) =>
  treeOf(
    spans.map((span) => ({
      name: span.name,
      spanId: span.spanContext().spanId,
      parentId: span.parentSpanContext?.spanId,
      startMs: span.startTime[0] * 1_000 + span.startTime[1] / 1_000_000,
    })),
  );

describe('SagazOpenTelemetryModule', () => {
  let app: INestApplication;

  beforeAll(async () => {
    provider.register();
    app = await startApplication({
      providers: [OrderSaga],
      controllers: [Mail],
      imports: [SagazOpenTelemetryModule.forRoot()],
      // On a busy machine a short one may run out, and a takeover has spans of its own.
      sagaz: { worker: { lease: '10s' } },
    });
  });
  beforeEach(() => {
    exporter.reset();
    calls = 0;
  });
  afterAll(async () => {
    await app.close();
    await provider.shutdown();
  });

  /** As an instrumented HTTP server calls its handler. */
  async function request(order: Order) {
    const span = trace.getTracer('http').startSpan('POST /orders', { kind: SpanKind.SERVER });
    const work = () => app.get(SagaOrchestrator).execute<typeof OrderSaga>(OrderSaga, order);
    const result = await context.with(trace.setSpan(context.active(), span), work);
    span.end();
    return { result, traceId: span.spanContext().traceId };
  }

  const spansOf = (traceId: string) =>
    exporter.getFinishedSpans().filter((span) => span.spanContext().traceId === traceId);

  it('makes one trace of a request, its saga with a retry, its event and the consumer of that', async () => {
    const { traceId } = await request({ id: 1 });
    await until(() => spansOf(traceId).length === 9);
    expect(tree(spansOf(traceId))).toEqual([
      'POST /orders',
      '  saga order',
      '    step reserve',
      '      GET /stock',
      '    step charge',
      '    step charge',
      '      outbox publish',
      '        inbox process',
      '          POST /mail',
    ]);
    const [failed] = spansOf(traceId).filter(({ name }) => name === 'step charge');
    expect(failed?.events.map(({ attributes }) => attributes?.['exception.message'])).toEqual([
      'line is busy',
    ]);
    expect(exporter.getFinishedSpans()).toHaveLength(9);
  });

  it('says of each span what it belongs to', async () => {
    const { result, traceId } = await request({ id: 2 });
    await until(() => spansOf(traceId).length === 9);
    const find = (name: string) => spansOf(traceId).findLast((span) => span.name === name);
    const ofSaga = { 'sagaz.saga.id': result.sagaId, 'sagaz.saga.name': 'order', 'sagaz.saga.version': 1 };
    expect(find('step charge')?.attributes).toEqual({
      ...ofSaga,
      'sagaz.step.name': 'charge',
      'sagaz.step.attempt': 2,
    });
    expect(find('outbox publish')?.kind).toBe(SpanKind.PRODUCER);
    expect(find('outbox publish')?.attributes).toMatchObject({ 'sagaz.event.type': 'order.charged' });
    expect(find('inbox process')?.kind).toBe(SpanKind.CONSUMER);
    expect(find('inbox process')?.attributes).toMatchObject({ 'messaging.consumer.group.name': 'mail' });
  });

  it('shows undos, and tells the trace in the telemetry events', async () => {
    const told: (string | undefined)[] = [];
    const stop = SagazTelemetry.subscribe('saga.compensated', (event) => told.push(event.traceId));
    const { result, traceId } = await request({ id: 3, refused: true });
    expect(result.status).toBe('compensated');
    // The result may be known before the event is told.
    await until(() => told.length > 0 && spansOf(traceId).length === 6);
    stop();
    expect(told).toEqual([traceId]);
    expect(tree(spansOf(traceId))).toEqual([
      'POST /orders',
      '  saga order',
      '    step reserve',
      '      GET /stock',
      '    step charge',
      '    undo reserve',
    ]);
  });
});
