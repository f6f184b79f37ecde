import { setTimeout as sleep } from 'node:timers/promises';
import { startSagaProcess, stopSagaProcesses, type SagaProcess } from '../support/saga-process.js';
import { describeWith } from '../support/requirement.js';
import { until } from '../support/until.js';
import { ChaosWorld } from './support/chaos-world.js';
import { compareDeliveries, prepareDeliveries } from './support/deliveries.js';
import { random } from './support/load.js';
import type { WorkerProcess } from './support/worker-process.js';
import { startProducers } from './support/producers.js';

const FULL = process.env['CHAOS_FULL'] === '1';
const MINUTE_MS = 60_000;
const LOAD_MS = FULL ? 10 * MINUTE_MS : MINUTE_MS;
const OUTAGE_MS = FULL ? MINUTE_MS : 10_000;
const TABLES = ['saga_outbox', 'saga_outbox_retry', 'saga_outbox_shard', 'saga_worker'];
const MIB = 1_048_576;

const largest = (samples: readonly (readonly number[])[]) =>
  TABLES.map((_, table) => Math.max(...samples.map((sample) => sample[table] ?? 0)));

describeWith('postgres', 'relays under load, with a broker that refuses every tenth event', () => {
  let world: ChaosWorld;
  let producer: SagaProcess;
  const relays: WorkerProcess[] = [];
  beforeAll(async () => {
    world = await ChaosWorld.open();
    await prepareDeliveries(world);
    producer = await startSagaProcess(world.url, [], { worker: false });
  });
  afterEach(async () => {
    for (const relay of relays.splice(0)) await relay.stop();
  });
  afterAll(async () => {
    await stopSagaProcesses();
    await world.close();
  });

  const number = async (text: string) =>
    Number((await world.query<{ n: string }>(`SELECT ${text} AS n`))[0]?.n);
  const pending = () =>
    number('(SELECT count(*) FROM saga_outbox) + (SELECT count(*) FROM saga_outbox_retry)');
  const attempts = () => number('(SELECT coalesce(sum(attempts), 0) FROM saga_outbox_retry)');
  const sizes = async () => {
    const found = await Promise.all(TABLES.map((name) => number(`pg_total_relation_size('${name}')`)));
    return found.map((bytes) => Math.round((bytes / MIB) * 10) / 10);
  };

  it(
    'lose nothing, mix up nothing and give up nothing, also when the broker is down, and their tables stay bounded',
    async () => {
      const seed = Number(process.env['SAGAZ_SEED'] ?? Date.now() % 1_000_000);
      const env = { CHAOS_REFUSED: '0.1' };
      for (let n = 0; n < 2; n++) relays.push(await world.start({ program: 'relay-worker', env }));
      const { application, runtime } = producer;
      const load = { application, outbox: runtime.outbox, producers: 8, keys: 200, chance: random(seed) };
      const stop = startProducers(load);
      const end = Date.now() + LOAD_MS;
      await sleep(LOAD_MS / 6);

      await world.query('ALTER TABLE delivery RENAME TO delivery_away', world.ledgerUrl);
      await sleep(OUTAGE_MS / 10);
      const before = await attempts();
      await sleep(OUTAGE_MS * 0.9);
      const [waiting, burnt] = [await pending(), (await attempts()) - before];
      await world.query('ALTER TABLE delivery_away RENAME TO delivery', world.ledgerUrl);
      const backAt = Date.now();
      await until(async () => (await pending()) < waiting / 4, MINUTE_MS);
      const caughtUpMs = Date.now() - backAt;

      const samples: number[][] = [];
      while (Date.now() < end) {
        samples.push(await sizes());
        await sleep(1_000);
      }
      await stop();
      const half = samples.length >> 1;
      const [early, late] = [largest(samples.slice(0, half)), largest(samples.slice(half))];
      await until(async () => (await pending()) === 0, MINUTE_MS);
      const { committed, deliveries, lost, uncommitted, inversions } = await compareDeliveries(world);
      process.stderr.write(
        `seed ${seed}: ${committed.length} events, ${deliveries.length} deliveries; outage of ${OUTAGE_MS / 1000} s: ` +
          `${waiting} waiting, ${burnt} attempts burnt, caught up in ${caughtUpMs} ms; MiB of ${TABLES.join(', ')} ` +
          `at most, in the first half ${early.join(', ')}, in the second ${late.join(', ')}\n`,
      );
      expect(committed.length).toBeGreaterThan(1_000);
      expect(burnt).toBe(0);
      expect(caughtUpMs).toBeLessThan(OUTAGE_MS);
      expect(await world.query('SELECT 1 FROM saga_outbox_dead_letter')).toEqual([]);
      expect([lost, uncommitted, inversions]).toEqual([[], [], []]);
      for (const [n, size] of late.entries()) expect(size).toBeLessThan((early[n] ?? 0) * 1.5 + 4);
    },
    LOAD_MS + 5 * MINUTE_MS,
  );

  it(
    'relay ten transactions of ten thousand events that all commit late',
    async () => {
      const { application, runtime } = producer;
      const other = await startSagaProcess(world.url, [], { worker: false });
      await world.query('TRUNCATE committed');
      await world.query('TRUNCATE delivery', world.ledgerUrl);
      const events = 10_000;
      const env = { CHAOS_REFUSED: '0', CHAOS_BATCH: '100' };
      for (let n = 0; n < 2; n++) relays.push(await world.start({ program: 'relay-worker', env }));
      const open = Array.from({ length: 10 }, async (_, t) => {
        const runner = application.createQueryRunner();
        await runner.startTransaction();
        const payloads = Array.from({ length: events }, (_event, n) => n);
        await runtime.outbox.publish(
          runner.manager,
          payloads.map((payload) => ({ type: 'bulk', key: `bulk ${t}.${payload % 5}`, payload })),
        );
        return runner;
      });
      const runners = await Promise.all(open);
      // Later ids are relayed first.
      const stop = startProducers({
        // On a pool of its own: the ten have all of the other.
        ...{
          application: other.application,
          outbox: other.runtime.outbox,
          producers: 4,
          keys: 20,
          chance: random(3),
        },
      });
      const relayed = () => world.query(`SELECT 1 FROM delivery LIMIT 100`, world.ledgerUrl);
      await until(async () => (await relayed()).length === 100);
      for (const runner of runners) {
        await runner.query(
          `INSERT INTO committed SELECT key, payload::int, event_id FROM saga_outbox WHERE xid = pg_current_xact_id()`,
        );
        await runner.commitTransaction();
        await runner.release();
      }
      await stop();
      await until(async () => (await pending()) === 0, 2 * MINUTE_MS);
      const { committed, lost, uncommitted, inversions } = await compareDeliveries(world);
      expect(committed.length).toBeGreaterThan(10 * events);
      expect([lost.length, uncommitted.length, inversions]).toEqual([0, 0, []]);
    },
    4 * MINUTE_MS,
  );
});
