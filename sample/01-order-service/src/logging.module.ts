import type { IncomingMessage, ServerResponse } from 'node:http';
import { Module } from '@nestjs/common';
import { LoggerModule, type Params } from 'nestjs-pino';
import { type DestinationStream, pino } from 'pino';
import { PinoPretty } from 'pino-pretty';
import { AppConfig, type LogLevel } from './config.js';

/** While the sample prints its own lines, only what goes wrong is logged among them. */
const QUIET: LogLevel = 'warn';

@Module({
  imports: [LoggerModule.forRootAsync({ inject: [AppConfig], useFactory: loggerParams })],
})
export class LoggingModule {}

function loggerParams({ logLevel = QUIET }: AppConfig): Params {
  const http = {
    autoLogging: { ignore: ({ url }: IncomingMessage) => url === '/metrics' },
    customSuccessMessage: ({ method, url }: IncomingMessage, { statusCode }: ServerResponse, ms: number) =>
      `${method} ${url}: ${statusCode} in ${ms} ms`,
  };
  return { pinoHttp: [{ level: logLevel, ...http }, logStream()] };
}

/** JSON lines on stderr, short ones on a terminal; stdout belongs to the sample's own output. */
function logStream(): DestinationStream {
  const readable = process.stderr.isTTY && process.env['NODE_ENV'] !== 'production';
  if (!readable) return pino.destination({ dest: 2, sync: true });
  return PinoPretty({ destination: 2, sync: true, ignore: 'pid,hostname,req,res,responseTime' });
}
