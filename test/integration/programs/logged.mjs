// An application that logs with nestjs-pino, counts and traces, as a process of its own: those libraries need what Jest cannot
// load. Everything that a user hands to the library has the secret in it. Plain JavaScript: decorators are called by hand.
import 'reflect-metadata';
import { Logger as NestLogger, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import { PrometheusModule } from '@willsoto/nestjs-prometheus';
import { Logger, LoggerModule } from 'nestjs-pino';
import { register } from 'prom-client';
import {
  Compensate,
  InMemoryBroker,
  NonRetryableError,
  Saga,
  SagaListener,
  SagaOrchestrator,
  SagaStep,
  SagazModule,
} from '../../../dist/esm/index.js';
import { SagazOpenTelemetryModule } from '../../../dist/esm/opentelemetry.js';
import { SagazPrometheusModule } from '../../../dist/esm/prometheus.js';
import { RabbitMqBroker } from '../../../dist/esm/rabbitmq.js';

const { SECRET: secret } = process.env;
const spans = new InMemorySpanExporter();
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] });
provider.register();

function decorate(type, method, ...decorators) {
  const descriptor = Object.getOwnPropertyDescriptor(type.prototype, method);
  for (const decorator of decorators) decorator(type.prototype, method, descriptor);
}

let calls = 0;
class OrderSaga {
  async reserve(ctx) {
    await ctx.publish({ type: 'order.reserved', payload: { secret }, headers: { token: secret } });
    return { secret };
  }

  release() {}

  charge(ctx) {
    if (ctx.input.refused) throw new NonRetryableError('refused');
    calls += 1;
    if (calls === 1) throw new Error('line is busy');
    return ctx.signalPayload;
  }

  fail() {
    throw new NonRetryableError('cannot be undone');
  }
}
decorate(OrderSaga, 'reserve', SagaStep());
decorate(OrderSaga, 'release', Compensate('reserve'));
decorate(
  OrderSaga,
  'charge',
  SagaStep({ waitFor: 'card', waitTimeout: '10s', retry: { initialInterval: 1 } }),
);
decorate(OrderSaga, 'fail', Compensate('charge'));
Saga({ name: 'order', settleGrace: 10 })(OrderSaga);

/** What an application logs of its own is its own affair: here the result, with a path that is redacted. */
class Told {
  #log = new NestLogger('Orders');

  async onSagaEnded({ sagaId }) {
    this.#log.log({ msg: 'order ended', result: { id: sagaId, card: secret } });
  }
}
SagaListener()(Told);

/** Refuses every event for good. */
class RefusingBroker extends InMemoryBroker {
  publish(batch) {
    return Promise.resolve(batch.map(() => ({ status: 'rejected', reason: 'unroutable' })));
  }
}

class RootModule {}
Module({
  imports: [
    LoggerModule.forRoot({ pinoHttp: { level: 'trace', redact: ['result.card'] } }),
    PrometheusModule.register(),
    SagazPrometheusModule.forRoot({ labels: { service: 'shop' } }),
    SagazOpenTelemetryModule.forRoot(),
    SagazModule.forRoot({
      broker: new RefusingBroker(),
      brokers: { away: new RabbitMqBroker({ url: `amqp://shop:${secret}@127.0.0.1:9` }) },
      routes: [{ type: 'order.reserved', to: ['default', 'away'] }],
    }),
  ],
  providers: [OrderSaga, Told],
})(RootModule);

const app = await NestFactory.createApplicationContext(RootModule, { bufferLogs: true });
app.useLogger(app.get(Logger));
await app.init();
const orchestrator = app.get(SagaOrchestrator);

async function order(refused) {
  const options = {
    tags: { secret },
    idempotencyKey: `${refused} ${secret}`,
    correlationId: `order-${refused}`,
  };
  const { sagaId, result } = await orchestrator.start(OrderSaga, { refused, secret }, options);
  await orchestrator.signal(sagaId, 'card', { secret });
  const { status } = await result();
  return { sagaId, status };
}

const ended = [await order(false), await order(true)];
const isDead = (text) => text.includes('sagaz_outbox_dead_lettered_total{service="shop"');
let metrics = await register.metrics();
for (; !isDead(metrics); metrics = await register.metrics())
  await new Promise((resolve) => setTimeout(resolve, 5));
const traces = spans.getFinishedSpans().map(({ name, attributes, events }) => ({ name, attributes, events }));
process.send({ ended, metrics, traces });
await app.close();
process.disconnect();
