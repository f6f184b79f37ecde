import { z } from 'zod';

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const environment = z.object({
  DATABASE_URL: z.url({
    protocol: /^postgres(ql)?$/,
    error: 'expected postgres://user:password@host/database',
  }),
  /** Of the library's tables. */
  SAGAZ_SCHEMA: z
    .string()
    .regex(/^[a-zA-Z_]\w{0,62}$/, 'expected letters, digits and _')
    .default('public'),
  SAGAZ_BROKER: z.enum(['memory', 'rabbitmq']).default('memory'),
  RABBITMQ_URL: z
    .url({ protocol: /^amqps?$/, error: 'expected amqp://user:password@host' })
    .default('amqp://localhost:5672'),
  /** What this process works on. */
  SAGAZ_WORKER: z.enum(['all', 'sagas', 'outbox', 'none']).default('all'),
  /** Below the grace of the pod. */
  SAGAZ_SHUTDOWN_TIMEOUT: z
    .templateLiteral([z.number().nonnegative(), z.enum(['ms', 's', 'm'])], 'expected a duration such as 20s')
    .default('20s'),
  /** 0 = any free port. */
  PORT: z.coerce.number().int().min(0).max(65_535).default(3000),
  LOG_LEVEL: z.enum(LOG_LEVELS).default('info'),
});

export type Config = z.infer<typeof environment>;

/** @throws ConfigError naming every variable that is wrong; what it holds is not shown, for it may be a password */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  const { data, error } = environment.safeParse(withoutEmpty(env));
  if (data) return data;
  throw new ConfigError(error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('\n'));
}

/** A variable that is set to nothing is not set. */
function withoutEmpty(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
}

export class ConfigError extends Error {}
