import { Module, type DynamicModule, type INestApplication, type Provider, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { TypeOrmModule } from '@nestjs/typeorm';
import { MessageBroker, SagazModule, type InMemoryBroker, type SagazModuleOptions } from '../../lib/index.js';
import { InMemoryTransport } from '../../lib/microservices.js';

export interface TestApplicationOptions {
  /** PostgreSQL; without it the application runs in memory. */
  readonly url?: string;
  /** Options of pg's pool. */
  readonly pool?: Readonly<Record<string, unknown>>;
  readonly sagaz?: SagazModuleOptions;
  readonly providers?: readonly Provider[];
  readonly controllers?: readonly Type[];
  /** Transports beside the one of an in-memory broker. */
  readonly microservices?: readonly MicroserviceOptions[];
  readonly imports?: readonly (Type | DynamicModule)[];
}

/** A started Nest application with the module under test, short leases and no log. */
export async function startApplication(options: TestApplicationOptions): Promise<INestApplication> {
  const { url, pool = {}, sagaz = {}, providers = [], controllers = [], imports = [] } = options;
  const database = url === undefined ? [] : [TypeOrmModule.forRoot({ type: 'postgres', url, extra: pool })];

  @Module({
    imports: [...database, ...imports, SagazModule.forRoot({ worker: { lease: '1s' }, ...sagaz })],
    providers: [...providers],
    controllers: [...controllers],
  })
  class TestRootModule {}

  const testing = await Test.createTestingModule({ imports: [TestRootModule] }).compile();
  const app = testing.createNestApplication({ logger: false });
  const broker = app.get<InMemoryBroker>(MessageBroker);
  if (broker.kind === 'memory') app.connectMicroservice({ strategy: new InMemoryTransport(broker) });
  for (const microservice of options.microservices ?? []) app.connectMicroservice(microservice);
  await app.init();
  try {
    await app.startAllMicroservices();
  } catch (error) {
    await app.close();
    throw error;
  }
  return app;
}
