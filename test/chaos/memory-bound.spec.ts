import { startSagaProcess, stopSagaProcesses } from '../support/saga-process.js';
import { describeWith } from '../support/requirement.js';
import { until } from '../support/until.js';
import { ChaosWorld } from './support/chaos-world.js';

const MIB = 1_048_576;
/** Of the old generation of a relay's heap; a process that needs more dies. Its young one has up to 48 MiB beside it. */
const BOUND_MIB = 128;

describeWith('postgres', `a relay with ${BOUND_MIB} MiB of heap`, () => {
  let world: ChaosWorld;
  beforeAll(async () => {
    world = await ChaosWorld.open();
    // Only for its migrations.
    await startSagaProcess(world.url, [], { worker: false });
    await stopSagaProcesses();
  });
  afterAll(() => world.close());

  it.each<[what: string, events: number, payload: string]>([
    ['a million small events', 1_000_000, `'{"n":' || n || '}'`],
    ['as large ones as are read with their batch', 20_000, `'"' || repeat('x', 16000) || '"'`],
    ['a thousand of the largest events', 1_000, `'"' || repeat('y', ${MIB - 2}) || '"'`],
  ])(
    'drains %s',
    async (what, events, payload) => {
      await world.query(
        `INSERT INTO saga_outbox (shard, event_id, destination, type, key, payload, headers)
         SELECT n % 16, gen_random_uuid(), 'default', 'a', (n % 1000)::text, ${payload}, '{}'
         FROM generate_series(1, ${events}) AS n`,
      );
      const env = { NODE_OPTIONS: `--max-old-space-size=${BOUND_MIB}` };
      const relay = await world.start({ program: 'drain-worker', env });
      const done = async () => (await world.query('SELECT 1 FROM saga_outbox LIMIT 1')).length === 0;
      await until(
        async () => relay.child.exitCode !== null || relay.child.signalCode !== null || (await done()),
        120_000,
      );
      const { heap = 0, resident = 0, events: taken, bytes = 0 } = await relay.counts();
      process.stderr.write(
        `${what}: ${taken} events, ${Math.round(bytes / MIB)} MiB of payload, heap at most ${Math.round(heap / MIB)} MiB, ` +
          `resident ${Math.round(resident / MIB)} MiB\n`,
      );
      expect(taken).toBe(events);
      await relay.stop();
    },
    240_000,
  );
});
