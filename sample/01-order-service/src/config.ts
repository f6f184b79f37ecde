import type { Duration, WorkerOptions } from 'nestjs-sagaz';
import { UserError } from './user.error.js';

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** A killed run is taken over once its lease has run out, so a short one makes the next start quick. */
const LEASE = '3s';

const WORKERS: Readonly<Record<string, WorkerOptions | false>> = {
  all: { lease: LEASE },
  sagas: { lease: LEASE, outbox: false },
  outbox: { lease: LEASE, sagas: false },
  none: false,
};

/** What the environment decides about this application; read once, faults are reported before anything starts. */
export class AppConfig {
  readonly databaseUrl: string;
  /** 0 = any free port. */
  readonly port: number;
  readonly logLevel: LogLevel | undefined;
  readonly schema: string | undefined;
  readonly worker: WorkerOptions | false;
  readonly shutdownTimeout: Duration;

  /** @throws UserError naming the variable, what it holds and what it may hold */
  constructor(env: NodeJS.ProcessEnv) {
    this.databaseUrl = databaseUrl(env['DATABASE_URL']);
    this.port = port(env['PORT'] || '3000');
    this.logLevel = env['LOG_LEVEL'] ? oneOf('LOG_LEVEL', env['LOG_LEVEL'], LOG_LEVELS) : undefined;
    this.schema = env['SAGAZ_SCHEMA'] || undefined;
    this.worker = WORKERS[oneOf('SAGAZ_WORKER', env['SAGAZ_WORKER'] || 'all', Object.keys(WORKERS))] ?? false;
    this.shutdownTimeout = duration('SAGAZ_SHUTDOWN_TIMEOUT', env['SAGAZ_SHUTDOWN_TIMEOUT'] || '20s');
    oneOf('SAGAZ_BROKER', env['SAGAZ_BROKER'] || 'memory', ['memory']);
  }
}

function databaseUrl(value: string | undefined): string {
  if (!value) {
    throw new UserError(
      'DATABASE_URL is not set. Start with `npm start` or `npm run sample:orders`, which bring a PostgreSQL of ' +
        'their own, or set DATABASE_URL=postgres://user:password@host:5432/database.',
    );
  }
  if (!URL.canParse(value) || !/^postgres(ql)?:$/.test(new URL(value).protocol)) {
    throw new UserError('DATABASE_URL is not of the form postgres://user:password@host:5432/database.');
  }
  return value;
}

function port(value: string): number {
  const number = Number(value);
  if (/^\d+$/.test(value) && number <= 65_535) return number;
  throw new UserError(`PORT must be a whole number from 0 to 65535, got "${value}".`);
}

function duration(name: string, value: string): Duration {
  if (/^\d+(\.\d+)?(ms|s|m|h|d)$/.test(value)) return value as Duration;
  throw new UserError(`${name} must be a duration such as 500ms, 20s or 1m, got "${value}".`);
}

function oneOf<T extends string>(name: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((candidate) => candidate === value);
  if (found !== undefined) return found;
  throw new UserError(`${name} must be one of ${allowed.join(', ')}, got "${value}".`);
}
