import { z } from 'zod';

const environment = z.object({
  DATABASE_URL: z.url({
    protocol: /^postgres(ql)?$/,
    error: 'expected postgres://user:password@host/database',
  }),
  /** 0 = any free port. */
  PORT: z.coerce.number().int().min(0).max(65_535).default(3000),
});

export type Config = z.infer<typeof environment>;

/** @throws ConfigError naming every variable that is wrong; what it holds is not shown, for it may be a password */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  const { data, error } = environment.safeParse({ ...env, PORT: env['PORT'] || undefined });
  if (data) return data;
  throw new ConfigError(error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('\n'));
}

export class ConfigError extends Error {}
