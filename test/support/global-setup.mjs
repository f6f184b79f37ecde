import { findBrokers } from './services/find-brokers.mjs';
import { findPgBouncer } from './services/pgbouncer-program.mjs';
import { findPgDump } from './services/pg-dump.mjs';
import { findPostgres } from './services/find-postgres.mjs';

/** Workers inherit DATABASE_URL and the like; without, `describeWith('postgres', ...)` skips or fails by SAGAZ_REQUIRE. */
export default async function setup() {
  process.env.PGBOUNCER ||= findPgBouncer() ?? '';
  await findBrokers();
  try {
    const server = await findPostgres();
    process.env.DATABASE_URL = server.url;
    globalThis.stopPostgres = () => server.stop();
    process.env.PG_DUMP ||= (await findPgDump(server.url)) ?? '';
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
  }
}
