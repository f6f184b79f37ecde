import { context, propagation, trace, type Tracer } from '@opentelemetry/api';
import { ClassicSaga, type SagaContext } from 'nestjs-sagaz';
import { Counter, Histogram, Registry } from 'prom-client';
import { openLibrary, type Library } from '../library.js';
import { rateOf, type Load } from '../load.js';
import { openLog, traceSome } from './observers.js';

interface Order {
  readonly orderId: string;
  readonly headers: Readonly<Record<string, string>>;
}

const NAME = 'order';
const STEP_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const SAGA_BUCKETS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600];

/**
 * The sagas of {@link DurableSagas} without the library's telemetry: metrics of sagas and steps, the line and the spans are written
 * by hand around them, with the same clients. It is what watching costs whoever does it.
 */
export class HandWatchedSagas {
  private readonly saga = new ClassicSaga<Order>(NAME)
    .step('reserve', { readOnly: true, action: (ctx) => this.step(ctx) })
    .step('charge', { readOnly: true, action: (ctx) => this.step(ctx) })
    .step('ship', { readOnly: true, action: (ctx) => this.step(ctx) })
    .build();
  private readonly registers = [new Registry()];
  private readonly started = this.counter('started', ['saga']);
  private readonly ended = this.counter('ended', ['saga', 'status']);
  private readonly duration = this.histogram('duration', ['saga', 'status'], SAGA_BUCKETS);
  private readonly steps = this.histogram('steps', ['saga', 'step', 'outcome'], STEP_BUCKETS);
  private tracer: Tracer | undefined;

  private constructor(private readonly library: Library) {}

  static async open(url: string): Promise<HandWatchedSagas> {
    const library = await openLibrary(url);
    const sagas = new HandWatchedSagas(library);
    library.orchestrator.register(sagas.saga);
    await library.begin();
    return sagas;
  }

  async rate(load: Load): Promise<number> {
    const { tracer, end } = traceSome();
    const log = openLog();
    this.tracer = tracer;
    try {
      return await rateOf(() => this.execute(tracer, log), load);
    } finally {
      await end();
      log.end();
    }
  }

  close(): Promise<void> {
    return this.library.close();
  }

  private async execute(tracer: Tracer, log: ReturnType<typeof openLog>): Promise<void> {
    const start = performance.now();
    const span = tracer.startSpan(`saga ${NAME}`, { attributes: { 'saga.name': NAME, 'saga.version': 1 } });
    const within = trace.setSpan(context.active(), span);
    const headers = {};
    propagation.inject(within, headers);
    this.started.inc({ saga: NAME });
    const { sagaId, status } = await context.with(within, () =>
      this.library.orchestrator.execute(this.saga, { orderId: 'A-1', headers }),
    );
    if (status !== 'completed') throw new Error(`saga ${sagaId} ended ${status}`);
    const durationMs = performance.now() - start;
    this.ended.inc({ saga: NAME, status });
    this.duration.observe({ saga: NAME, status }, durationMs / 1_000);
    const { traceId } = span.spanContext();
    const msg = `saga ${NAME} completed after ${Math.round(durationMs)} ms`;
    log.write({ msg, event: 'completed', sagaId, saga: NAME, version: 1, traceId, durationMs });
    span.end();
  }

  private step({ sagaId, sagaName, step, attempt }: SagaContext<Order>): void {
    const start = performance.now();
    const around = trace.getActiveSpan();
    if (around?.isRecording()) {
      const attributes = { 'step.name': step, 'step.attempt': attempt, 'saga.id': sagaId };
      this.tracer?.startSpan(`step ${step}`, { attributes }).end();
    }
    const labels = { saga: sagaName, step, outcome: 'completed' };
    this.steps.observe(labels, (performance.now() - start) / 1_000);
  }

  private counter<L extends string>(name: string, labelNames: L[]): Counter<L> {
    return new Counter({ name, help: name, labelNames, registers: this.registers });
  }

  private histogram<L extends string>(name: string, labelNames: L[], buckets: number[]): Histogram<L> {
    return new Histogram({ name, help: name, labelNames, buckets, registers: this.registers });
  }
}
