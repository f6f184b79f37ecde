import 'reflect-metadata';
import { ConsoleLogger, ValidationPipe, type LogLevel as NestLevel } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { SagazError } from 'nestjs-sagaz';
import { AppModule } from './app.module.js';
import { ConfigError, readConfig, type LogLevel } from './config.js';

/** Each with all that is worse. */
const LEVELS: readonly (readonly [LogLevel, NestLevel])[] = [
  ['fatal', 'fatal'],
  ['error', 'error'],
  ['warn', 'warn'],
  ['info', 'log'],
  ['debug', 'debug'],
  ['trace', 'verbose'],
];

function logger(level: LogLevel): ConsoleLogger {
  const names = LEVELS.map(([name]) => name);
  const logLevels = LEVELS.slice(0, names.indexOf(level) + 1).map(([, nest]) => nest);
  return new ConsoleLogger({ json: true, logLevels });
}

try {
  const config = readConfig(process.env);
  const app = await NestFactory.create(AppModule.with(config), {
    logger: logger(config.LOG_LEVEL),
    abortOnError: false,
  });
  app.useGlobalPipes(new ValidationPipe({ whitelist: true, forbidNonWhitelisted: true, transform: true }));
  // On SIGTERM: stops claiming, lets what runs end, gives back its shards.
  app.enableShutdownHooks(undefined, { useProcessExit: true });
  await app.listen(config.PORT);
  process.stdout.write(`listening on ${await app.getUrl()}\n`);
} catch (error) {
  const told = error instanceof ConfigError || error instanceof SagazError;
  process.stderr.write(`${told ? error.message : String((error as Error).stack ?? error)}\n`);
  process.exit(1);
}
