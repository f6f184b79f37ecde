import { hostname, userInfo } from 'node:os';
import type { DatabaseChoice } from '../persistence/typeorm/open-by-url.js';
import { UsageError } from './usage.error.js';

const CONNECT_TIMEOUT_MS = 10_000;
const IDENTIFIER = /^[a-zA-Z_][a-zA-Z0-9_]{0,62}$/;

export type Environment = Readonly<Record<string, string | undefined>>;

/** @throws UsageError */
export function schemaOf(env: Environment): string {
  const schema = env['SAGAZ_SCHEMA'] || 'public';
  if (IDENTIFIER.test(schema)) return schema;
  throw new UsageError('SAGAZ_SCHEMA must be letters, digits and _');
}

/** @throws UsageError, without the URL: it may hold a password */
export function databaseOf(env: Environment): DatabaseChoice {
  const url = env['DATABASE_URL'] ?? '';
  const form = 'postgres://user:password@host:5432/database';
  if (url === '') throw new UsageError(`DATABASE_URL is not set; set it to ${form}`);
  if (!URL.canParse(url) || !/^postgres(ql)?:$/.test(new URL(url).protocol))
    throw new UsageError(`DATABASE_URL is not of the form ${form}`);
  if (!isDecodable(url))
    throw new UsageError('DATABASE_URL has a % that stands for nothing; write %25 where you mean one');
  return { url, schema: schemaOf(env), connectTimeoutMs: CONNECT_TIMEOUT_MS };
}

function isDecodable(url: string): boolean {
  try {
    return decodeURIComponent(url) !== '';
  } catch {
    return false;
  }
}

/** Who is at the keyboard. */
export function defaultActor(): string {
  return `${userName()}@${hostname()}`.slice(0, 200);
}

/** In a container the user may have no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return 'cli';
  }
}
