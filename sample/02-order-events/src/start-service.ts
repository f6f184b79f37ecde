import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ValidationPipe, type INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Client } from 'pg';
import { brokerOf, transportOf } from './broker.js';
import type { Config, ServiceName } from './config.js';
import { requestSpan } from './request-span.js';
import { schemaOf, ServiceModule } from './service.module.js';
import { startTracing } from './tracing.js';

/** Starts one service, or all of them in one application. @returns its address */
export async function startService(
  config: Config,
  services: readonly ServiceName[],
): Promise<{ readonly app: INestApplication; readonly url: string }> {
  const endTracing = startTracing(config, services.join('-'));
  await createSchema(config, schemaOf(services));
  const broker = brokerOf(config);
  const app = await NestFactory.create(ServiceModule.with({ config, services, broker, endTracing }), {
    logger: ['warn', 'error', 'fatal'],
  });
  if (endTracing) app.use(requestSpan);
  app.useGlobalPipes(new ValidationPipe({ whitelist: true, forbidNonWhitelisted: true }));
  app.enableShutdownHooks(undefined, { useProcessExit: true });
  const consumer = services.find((name) => name !== 'orders');
  if (consumer) {
    app.connectMicroservice(transportOf(config, consumer, broker));
    // The tables are there before the first message is.
    await app.init();
    await app.startAllMicroservices();
  }
  await app.listen(services.includes('orders') ? config.PORT : 0);
  const { port } = (app.getHttpServer() as Server).address() as AddressInfo;
  return { app, url: `http://localhost:${port}` };
}

async function createSchema({ DATABASE_URL: connectionString }: Config, schema: string): Promise<void> {
  const client = new Client({ connectionString });
  await client.connect();
  await client.query(`CREATE SCHEMA IF NOT EXISTS ${client.escapeIdentifier(schema)}`);
  await client.end();
}
