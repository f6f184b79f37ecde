// One of three services of one order, as a process of its own that tells every span it has finished. Plain JavaScript:
// decorators are called by hand. Its part is the first argument:
// shop starts the order and hangs in its second step; worker runs sagas and relays events; mail consumes them.
import 'reflect-metadata';
import { Controller, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { EventPattern, Transport } from '@nestjs/microservices';
import { TypeOrmModule } from '@nestjs/typeorm';
import { context, trace } from '@opentelemetry/api';
import { NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import {
  IdempotentConsumer,
  Saga,
  SagaOrchestrator,
  SagaStep,
  SagazModule,
} from '../../../dist/esm/index.js';
import { SagazOpenTelemetryModule } from '../../../dist/esm/opentelemetry.js';
import { RabbitMqBroker } from '../../../dist/esm/rabbitmq.js';

const [part] = process.argv.slice(2);
const { DATABASE_URL: database, RABBITMQ_URL: rabbitMq, EXCHANGE: exchange } = process.env;

const teller = {
  export(spans, done) {
    for (const span of spans) {
      const { traceId, spanId } = span.spanContext();
      const [s, ns] = span.startTime;
      const links = span.links.map(({ context: { spanId: of } }) => of);
      const parentId = span.parentSpanContext?.spanId;
      process.send({
        part,
        name: span.name,
        traceId,
        spanId,
        parentId,
        links,
        startMs: s * 1_000 + ns / 1e6,
      });
    }
    done({ code: 0 });
  },
  shutdown: () => Promise.resolve(),
};
new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(teller)] }).register();

function decorate(type, method, ...decorators) {
  const descriptor = Object.getOwnPropertyDescriptor(type.prototype, method);
  for (const decorator of decorators) decorator(type.prototype, method, descriptor);
}

class OrderSaga {
  reserve() {}

  async charge(ctx) {
    if (part === 'shop') {
      process.send({ charging: true });
      await new Promise(() => undefined);
    }
    await ctx.publish({ type: 'order.charged', payload: ctx.input });
  }
}
decorate(OrderSaga, 'reserve', SagaStep({ readOnly: true }));
decorate(OrderSaga, 'charge', SagaStep({ readOnly: true, timeout: '60s' }));
Saga({ name: 'order', settleGrace: 50 })(OrderSaga);

class Mail {
  send() {
    trace.getTracer('mail').startSpan('POST /mail').end();
  }
}
decorate(Mail, 'send', EventPattern('order.charged'), IdempotentConsumer('mail'));
Controller()(Mail);

class RootModule {}
Module({
  imports: [
    TypeOrmModule.forRoot({ type: 'postgres', url: database }),
    SagazOpenTelemetryModule.forRoot(),
    SagazModule.forRoot({
      broker: new RabbitMqBroker({ url: rabbitMq, exchange }),
      worker: { sagas: part !== 'mail', outbox: part === 'worker', lease: '1s' },
    }),
  ],
  providers: part === 'mail' ? [] : [OrderSaga],
  controllers: part === 'mail' ? [Mail] : [],
})(RootModule);

const app = await NestFactory.create(RootModule, { logger: ['error', 'warn'] });
if (part === 'mail')
  app.connectMicroservice({
    transport: Transport.RMQ,
    options: {
      ...{ urls: [rabbitMq], queue: `${exchange}-mail`, exchange, exchangeType: 'topic', wildcards: true },
      ...{ noAck: false, queueOptions: { durable: true, autoDelete: true } },
    },
  });
await app.startAllMicroservices();
await app.init();

process.on('message', async ({ order }) => {
  // As an instrumented HTTP server calls its handler, which answers 202.
  const span = trace.getTracer('http').startSpan('POST /orders');
  const start = () => app.get(SagaOrchestrator).start(OrderSaga, order);
  await context.with(trace.setSpan(context.active(), span), start);
  span.end();
});
process.on('disconnect', () => void app.close());
process.send({ ready: true });
