import { Module, type DynamicModule } from '@nestjs/common';
import { TerminusModule } from '@nestjs/terminus';
import { TypeOrmModule } from '@nestjs/typeorm';
import { PrometheusModule } from '@willsoto/nestjs-prometheus';
import { InMemoryBroker, SagazModule, type SagazModuleOptions, type WorkerOptions } from 'nestjs-sagaz';
import { SagazPrometheusModule } from 'nestjs-sagaz/prometheus';
import { RabbitMqBroker } from 'nestjs-sagaz/rabbitmq';
import { OutboxHealthIndicator, SagaHealthIndicator } from 'nestjs-sagaz/terminus';
import type { Config } from './config.js';
import { HealthController } from './health.controller.js';
import { OrderSaga } from './order.saga.js';
import { OrdersController } from './orders.controller.js';

/** The same image is API and relay: `SAGAZ_WORKER` says what a process works on. */
const WORKERS: Readonly<Record<Config['SAGAZ_WORKER'], WorkerOptions | false>> = {
  all: {},
  sagas: { outbox: false },
  outbox: { sagas: false },
  none: false,
};

@Module({})
export class AppModule {
  static with(config: Config): DynamicModule {
    return {
      module: AppModule,
      imports: [
        // Small: sixteen relays and the API share the sessions of one server.
        TypeOrmModule.forRoot({ type: 'postgres', url: config.DATABASE_URL, poolSize: 5 }),
        PrometheusModule.register(),
        SagazPrometheusModule.forRoot(),
        TerminusModule,
        SagazModule.forRoot(sagazOptions(config)),
      ],
      controllers: [OrdersController, HealthController],
      providers: [OrderSaga, SagaHealthIndicator, OutboxHealthIndicator],
    };
  }
}

/** With NODE_ENV=production the tables are checked and never changed: a job of its own migrates. */
function sagazOptions(config: Config): SagazModuleOptions {
  const { RABBITMQ_URL: url } = config;
  return {
    schema: config.SAGAZ_SCHEMA,
    broker: config.SAGAZ_BROKER === 'rabbitmq' ? new RabbitMqBroker({ url }) : new InMemoryBroker(),
    worker: WORKERS[config.SAGAZ_WORKER],
    shutdownTimeout: config.SAGAZ_SHUTDOWN_TIMEOUT,
  };
}
