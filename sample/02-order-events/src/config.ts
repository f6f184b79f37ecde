import { z } from 'zod';

export const SERVICES = ['orders', 'billing', 'mail'] as const;
export type ServiceName = (typeof SERVICES)[number];

const environment = z.object({
  DATABASE_URL: z.url({
    protocol: /^postgres(ql)?$/,
    error: 'expected postgres://user:password@host/database',
  }),
  SAGAZ_BROKER: z.enum(['memory', 'rabbitmq', 'kafka', 'redis']).default('memory'),
  RABBITMQ_URL: z.url().default('amqp://localhost:5672'),
  KAFKA_BROKERS: z
    .string()
    .default('localhost:9092')
    .transform((list) => list.split(',')),
  REDIS_URL: z.url().default('redis://localhost:6379'),
  /** Where spans go, such as http://localhost:4318. Default: nowhere, or the console. */
  OTEL_EXPORTER_OTLP_ENDPOINT: z.url().optional(),
  OTEL_TRACES_EXPORTER: z.enum(['none', 'console']).default('none'),
  /** Of the order service; 0 = any free port. */
  PORT: z.coerce.number().int().min(0).max(65_535).default(3000),
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
