import 'reflect-metadata';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ValidationPipe } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';
import { tellStory } from './story.js';

const { PORT = '3000' } = process.env;

const app = await NestFactory.create(AppModule, { logger: ['warn', 'error'] });
app.useGlobalPipes(new ValidationPipe({ whitelist: true, forbidNonWhitelisted: true }));
app.enableShutdownHooks(undefined, { useProcessExit: true });
await app.listen(Number(PORT));
const { port } = (app.getHttpServer() as Server).address() as AddressInfo;
const url = `http://localhost:${port}`;

await tellStory(url);

const json = "-H 'content-type: application/json'";
process.stdout.write(`
Listening on ${url}, Ctrl-C ends it. Try
  curl -X POST ${url}/bookings ${json} -d '{"guest":"Dot","room":42}'
  curl -X POST ${url}/bookings/BOOKING_ID/decision ${json} -d '{"approved":false,"by":"the desk"}'
  curl ${url}/bookings/BOOKING_ID
`);
