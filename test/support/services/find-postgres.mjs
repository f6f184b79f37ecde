import pg from 'pg';
import { startPostgres } from './postgres.mjs';

const LOCAL_URL = 'postgres://postgres@127.0.0.1:5432/postgres';

/**
 * The server tests run on: DATABASE_URL, else the local one if it lets user postgres in, else an embedded one.
 * @param {object} [options]
 * @param {boolean} [options.durable] of an embedded one: with fsync, as in production
 * @returns {Promise<{ url: string, stop(): Promise<void> }>}
 */
export async function findPostgres({ durable = false } = {}) {
  const url = process.env.DATABASE_URL || ((await lets(LOCAL_URL)) ? LOCAL_URL : undefined);
  return url ? { url, stop: async () => undefined } : startPostgres({ durable });
}

async function lets(url) {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}
