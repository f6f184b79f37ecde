import type { DataSource, QueryRunner } from 'typeorm';

/**
 * Whether a connection of the engine is a session of the server. A pooler in transaction mode gives each transaction
 * another one: while a second connection is in a transaction, the first cannot be on the same, and on its return the
 * order of the pool has changed.
 */
export async function hasSessions(engine: DataSource): Promise<boolean> {
  const [one, other] = [engine.createQueryRunner('master'), engine.createQueryRunner('master')];
  try {
    const first = await backendOf(one);
    await other.query('BEGIN');
    await backendOf(other);
    const second = await backendOf(one);
    await other.query('COMMIT');
    return first === second && second === (await backendOf(one));
  } finally {
    await Promise.all([one.release(), other.release()]);
  }
}

async function backendOf(runner: QueryRunner): Promise<number | undefined> {
  const [row] = (await runner.query('SELECT pg_backend_pid() AS pid')) as { pid: number }[];
  return row?.pid;
}
