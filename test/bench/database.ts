import { randomBytes } from 'node:crypto';
import pg from 'pg';

export interface BenchDatabase {
  readonly url: string;
  drop(): Promise<void>;
}

/** The server of the benches: DATABASE_URL, else the local one, else the embedded one. @returns it and its end */
export async function benchServer(): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const { findPostgres } = (await import(
    new URL('../../test/support/services/find-postgres.mjs', import.meta.url).href
  )) as { findPostgres(options: { durable: boolean }): Promise<{ url: string; stop(): Promise<void> }> };
  return findPostgres({ durable: true });
}

/** A fresh database, so that what is measured begins with empty tables. */
export async function benchDatabase(server: string): Promise<BenchDatabase> {
  const name = `sagaz_bench_${randomBytes(6).toString('hex')}`;
  await query(server, `CREATE DATABASE ${name}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    drop: async () => void (await query(server, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)),
  };
}

/** Version and durability of the server, for the head of the report. */
export async function aboutServer(server: string): Promise<string> {
  const [row] = await query<{ version: string; fsync: string; commit: string }>(
    server,
    `SELECT current_setting('server_version') AS version, current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS commit`,
  );
  return `postgresql    ${row?.version}, fsync ${row?.fsync}, synchronous_commit ${row?.commit}`;
}

export async function query<T extends pg.QueryResultRow>(url: string, text: string): Promise<T[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query<T>(text)).rows;
  } finally {
    await client.end();
  }
}
