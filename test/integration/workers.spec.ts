import type { EntityManager } from 'typeorm';
import type { Persistence } from '../../lib/persistence/persistence.js';
import { typeOrmPersistence } from '../../lib/persistence/typeorm/typeorm-persistence.js';
import { describeWith } from '../support/requirement.js';
import { applicationDatabase, type ApplicationDatabase } from '../support/test-data-source.js';
import { until } from '../support/until.js';

const LEASE_MS = 60_000;

describeWith('postgres', 'workers', () => {
  let database: ApplicationDatabase;
  const opened = new Set<Persistence<EntityManager>>();

  beforeAll(async () => {
    database = await applicationDatabase();
  });
  afterEach(async () => {
    await Promise.all([...opened].map((persistence) => persistence.close()));
    opened.clear();
    await database.dataSource.query('TRUNCATE saga_worker');
  });
  afterAll(() => database.close());

  /** What one process has of the database. */
  async function open() {
    const persistence = typeOrmPersistence(database.dataSource, { schema: undefined, migrations: 'run' });
    await persistence.open();
    opened.add(persistence);
    return persistence.workers;
  }
  const beat = (id: string) => ({ id, relays: false, leaseMs: LEASE_MS });
  const sessions = () =>
    database.dataSource.query<{ pid: number }[]>(
      `SELECT DISTINCT pid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    );

  it('are found dead at the second look when their process is gone, long before their lease has run out', async () => {
    const [one, other] = [await open(), await open()];
    await one.heartbeat(beat('one'));
    await other.heartbeat(beat('other'));
    expect(await one.findDead()).toEqual([]);
    expect(await other.findDead()).toEqual([]);
    const [first] = [...opened];
    if (!first) throw new Error('there are two');
    await first.close();
    opened.delete(first);
    await until(async () => (await sessions()).length === 1);
    expect(await other.findDead()).toEqual([]);
    expect(await other.findDead()).toEqual(['one']);
    expect(await (await open()).heartbeat(beat('one'))).toBe(false);
  });

  it('are not dead because their lock is free on a server that was restarted since they took it', async () => {
    const other = await open();
    await other.heartbeat(beat('other'));
    await database.dataSource.query(
      `INSERT INTO saga_worker (id, relays, lease_ms, lock_key, postmaster_start)
       VALUES ('one', false, ${LEASE_MS}, 4711, pg_postmaster_start_time() - interval '1 minute')`,
    );
    for (let looks = 0; looks < 3; looks++) expect(await other.findDead()).toEqual([]);
    await database.dataSource.query(
      `UPDATE saga_worker SET heartbeat_at = heartbeat_at - interval '2 minutes' WHERE id = 'one'`,
    );
    expect(await other.findDead()).toEqual(['one']);
  });

  it('take their locks again when their connections are cut, and judge nobody by locks for a while', async () => {
    const [one, other] = [await open(), await open()];
    await one.heartbeat(beat('one'));
    await other.heartbeat(beat('other'));
    await one.findDead();
    await other.findDead();
    await database.dataSource.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'nestjs-sagaz' AND datname = current_database()`,
    );
    for (let looks = 0; looks < 4; looks++) {
      expect(await one.findDead().catch(() => [])).toEqual([]);
      expect(await other.findDead().catch(() => [])).toEqual([]);
    }
    expect(await one.heartbeat(beat('one'))).toBe(true);
    expect(await other.heartbeat(beat('other'))).toBe(true);
    // The leader's lock and one for each worker.
    await until(async () => (await sessions()).length === 2);
  });

  it('that are frozen lose their session with their lease, and with it the lead', async () => {
    const [frozen, other] = [await open(), await open()];
    await frozen.heartbeat(beat('frozen'));
    await frozen.findDead();
    await other.heartbeat(beat('other'));
    await database.dataSource.query(
      `UPDATE saga_worker SET heartbeat_at = heartbeat_at - interval '2 minutes' WHERE id = 'frozen'`,
    );
    expect(await other.findDead()).toEqual(['frozen']);
    expect(await frozen.heartbeat(beat('frozen')).catch(() => false)).toBe(false);
  });
});
