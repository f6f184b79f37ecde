import { type INestApplication, ValidationPipe } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { Logger } from 'nestjs-pino';
import { MessageBroker } from 'nestjs-sagaz';
import { InMemoryTransport } from 'nestjs-sagaz/microservices';
import { AppModule } from './app.module.js';

/**
 * The application, started except for its port: sagas run and events are delivered.
 *
 * @throws what went wrong; Nest itself prints nothing, so that it is told once
 */
export async function createApp(): Promise<INestApplication> {
  const app = await NestFactory.create(AppModule, { logger: false, abortOnError: false });
  app.useLogger(app.get(Logger));
  app.useGlobalPipes(new ValidationPipe({ whitelist: true, forbidNonWhitelisted: true, transform: true }));
  app.connectMicroservice<MicroserviceOptions>({ strategy: new InMemoryTransport(app.get(MessageBroker)) });
  await app.startAllMicroservices();
  await app.init();
  return app;
}
