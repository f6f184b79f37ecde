import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { until } from '../until.js';
import { freePort } from './free-port.js';
import { findPgBouncer } from './pgbouncer-program.mjs';
import { serverAccount } from './postgres-binaries.mjs';

export interface PgBouncer {
  /** The same database through the pooler, in transaction mode. */
  readonly url: string;
  stop(): Promise<void>;
}

/** A PgBouncer in transaction mode before one database. @param poolSize connections to the server, at most */
export async function startPgBouncer(databaseUrl: string, poolSize: number): Promise<PgBouncer> {
  const program = findPgBouncer();
  if (program === undefined) throw new Error('pgbouncer is not installed');
  const { hostname, port, username, pathname } = new URL(databaseUrl);
  const account = serverAccount();
  const folder = mkdtempSync(join(tmpdir(), 'nestjs-sagaz-pgbouncer-'));
  const own = await freePort();
  const files = {
    'users.txt': `"${username}" ""\n`,
    'pgbouncer.ini': `[databases]
* = host=${hostname} port=${port || 5432}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${own}
unix_socket_dir =
auth_type = trust
auth_file = ${join(folder, 'users.txt')}
pool_mode = transaction
default_pool_size = ${poolSize}
max_client_conn = 200
`,
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  for (const path of [folder, ...Object.keys(files).map((name) => join(folder, name))])
    if (account.uid !== undefined && account.gid !== undefined) chownSync(path, account.uid, account.gid);
  const child = spawn(program, [join(folder, 'pgbouncer.ini')], {
    ...{ ...account, cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] },
  });
  let complaints = '';
  child.stderr.on('data', (part: Buffer) => (complaints += part.toString()));
  const ended = once(child, 'exit');
  const url = `postgres://${username}@127.0.0.1:${own}${pathname}`;
  const stop = async () => {
    child.kill('SIGKILL');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  await until(() => answers(url), 10_000).catch(async () => {
    await stop();
    throw new Error(`pgbouncer did not answer: ${complaints}`);
  });
  return { url, stop };
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client(url);
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('SELECT 1');
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}
