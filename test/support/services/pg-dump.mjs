import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import pg from 'pg';

const DEBIAN = '/usr/lib/postgresql';

/** The folder of a pg_dump that can read the server, with its psql; a pg_dump refuses a server that is newer than itself. */
export async function findPgDump(url) {
  const client = new pg.Client(url);
  await client.connect();
  const { rows } = await client.query('SHOW server_version_num');
  await client.end();
  const server = Math.floor(Number(rows[0].server_version_num) / 10_000);
  const debian = fs.existsSync(DEBIAN)
    ? fs.readdirSync(DEBIAN).map((it) => path.join(DEBIAN, it, 'bin'))
    : [];
  const onPath = (process.env.PATH ?? '').split(path.delimiter).filter(Boolean);
  return [...debian, ...onPath].find((folder) => versionOf(path.join(folder, 'pg_dump')) >= server);
}

function versionOf(program) {
  if (!fs.existsSync(program)) return 0;
  try {
    const said = execFileSync(program, ['--version'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return Number(/(\d+)\./.exec(said)?.[1] ?? 0);
  } catch {
    return 0;
  }
}
