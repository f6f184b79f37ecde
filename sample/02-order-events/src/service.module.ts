import { Module, type DynamicModule, type Provider, type Type } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { PrometheusModule } from '@willsoto/nestjs-prometheus';
import { SagazModule, type MessageBroker } from 'nestjs-sagaz';
import { SagazOpenTelemetryModule } from 'nestjs-sagaz/opentelemetry';
import { SagazPrometheusModule } from 'nestjs-sagaz/prometheus';
import { BillEntity } from './billing/bill.entity.js';
import { BillingController } from './billing/billing.controller.js';
import type { Config, ServiceName } from './config.js';
import { Deliveries, DeliveriesController } from './deliveries.js';
import { MailController } from './mail/mail.controller.js';
import { MailEntity } from './mail/mail.entity.js';
import { OrderEntity } from './orders/order.entity.js';
import { OrderSaga } from './orders/order.saga.js';
import { OrdersController } from './orders/orders.controller.js';

const TRACING = Symbol('tracing');

interface Part {
  readonly controller: Type;
  readonly entity: Type;
  readonly providers: readonly Provider[];
}

const PARTS: Readonly<Record<ServiceName, Part>> = {
  orders: { controller: OrdersController, entity: OrderEntity, providers: [OrderSaga] },
  billing: { controller: BillingController, entity: BillEntity, providers: [] },
  mail: { controller: MailController, entity: MailEntity, providers: [] },
};

export interface ServiceOptions {
  readonly config: Config;
  /** One, or with the in-memory broker all of them. */
  readonly services: readonly ServiceName[];
  readonly broker: MessageBroker;
  /** Sends the last spans; undefined without traces. */
  readonly endTracing: (() => Promise<void>) | undefined;
}

/** A service with tables, outbox and inbox of its own: a schema of the database. */
@Module({})
export class ServiceModule {
  static with({ config, services, broker, endTracing }: ServiceOptions): DynamicModule {
    const parts = services.map((name) => PARTS[name]);
    const entities = parts.map(({ entity }) => entity);
    return {
      module: ServiceModule,
      imports: [
        TypeOrmModule.forRoot({
          ...{ type: 'postgres', url: config.DATABASE_URL, schema: schemaOf(services), entities },
          // For a sample of one table a service; an application has migrations.
          synchronize: true,
        }),
        TypeOrmModule.forFeature(entities),
        PrometheusModule.register(),
        SagazPrometheusModule.forRoot(),
        ...(endTracing ? [SagazOpenTelemetryModule.forRoot()] : []),
        // What was published is kept for a day, so that it can be published again.
        SagazModule.forRoot({ broker, migrations: 'run', outbox: { retention: '1d' } }),
      ],
      controllers: [...parts.map(({ controller }) => controller), DeliveriesController],
      providers: [
        ...parts.flatMap(({ providers }) => providers),
        Deliveries,
        { provide: TRACING, useValue: { onApplicationShutdown: () => endTracing?.() } },
      ],
    };
  }
}

export function schemaOf(services: readonly ServiceName[]): string {
  return `shop_${services.join('_')}`;
}
