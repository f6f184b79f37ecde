import 'reflect-metadata';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ValidationPipe } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';
import { ConfigError, readConfig, type Config } from './config.js';
import { tellStory } from './story.js';

try {
  await serve(readConfig(process.env));
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}

async function serve(config: Config): Promise<void> {
  const app = await NestFactory.create(AppModule.with(config), { logger: ['warn', 'error'] });
  app.useGlobalPipes(new ValidationPipe({ whitelist: true, forbidNonWhitelisted: true }));
  app.enableShutdownHooks(undefined, { useProcessExit: true });
  await app.listen(config.PORT);
  const { port } = (app.getHttpServer() as Server).address() as AddressInfo;
  const url = `http://localhost:${port}`;
  await tellStory(url);
  process.stdout.write(invitation(url));
}

function invitation(url: string): string {
  const json = "-H 'content-type: application/json'";
  return `
Listening on ${url}, Ctrl-C ends it. Try
  curl -X POST ${url}/bookings ${json} -d '{"guest":"Dot","room":42}'
  curl -X POST ${url}/bookings/BOOKING_ID/decision ${json} -d '{"approved":false,"by":"the desk"}'
  curl ${url}/bookings/BOOKING_ID
`;
}
