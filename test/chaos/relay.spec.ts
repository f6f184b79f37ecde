import { setTimeout as sleep } from 'node:timers/promises';
import { startSagaProcess, stopSagaProcesses } from '../support/saga-process.js';
import { describeWith } from '../support/requirement.js';
import { until } from '../support/until.js';
import { ChaosWorld } from './support/chaos-world.js';
import { random } from './support/load.js';
import { compareDeliveries, prepareDeliveries } from './support/deliveries.js';
import { startProducers } from './support/producers.js';
import type { WorkerProcess } from './support/worker-process.js';

const DURATION_MS = process.env['CHAOS_FULL'] === '1' ? 300_000 : 25_000;
const RELAYS = 4;

describeWith('postgres', 'four relays of which one after the other is killed', () => {
  let world: ChaosWorld;
  beforeAll(async () => {
    world = await ChaosWorld.open();
    await prepareDeliveries(world);
  });
  afterAll(async () => {
    await stopSagaProcesses();
    await world.close();
  });

  it(
    'deliver what committed and nothing else, each key in its order',
    async () => {
      const seed = Number(process.env['SAGAZ_SEED'] ?? Date.now() % 1_000_000);
      const chance = random(seed);
      const { application, runtime } = await startSagaProcess(world.url, [], { worker: false });
      const living = new Set<WorkerProcess>();
      const relay = async () => living.add(await world.start({ program: 'relay-worker' }));
      for (let n = 0; n < RELAYS; n++) await relay();
      const stop = startProducers({ application, outbox: runtime.outbox, producers: 16, keys: 50, chance });
      let kills = 0;
      for (const end = Date.now() + DURATION_MS; Date.now() < end; kills++) {
        await sleep(300 + chance() * 1_200);
        const victim = [...living][Math.floor(chance() * living.size)];
        if (!victim) continue;
        living.delete(victim);
        if (chance() < 0.7) victim.kill('SIGKILL');
        else await victim.stop();
        await relay();
      }
      await stop();
      const left = async () =>
        (await world.query('SELECT 1 FROM saga_outbox UNION ALL SELECT 1 FROM saga_outbox_retry')).length;
      await until(async () => (await left()) === 0, 30_000).catch(async () => {
        const stuck = await world.query(
          `SELECT 'outbox' AS place, s.owner, count(*) FROM saga_outbox o LEFT JOIN saga_outbox_shard s USING (shard) GROUP BY 1, 2
           UNION ALL SELECT 'retry ' || (next_at IS NULL)::text || ' ' || coalesce(reason, 'behind'), s.owner, count(*)
           FROM saga_outbox_retry r LEFT JOIN saga_outbox_shard s USING (shard) GROUP BY 1, 2
           UNION ALL SELECT 'worker ' || dead, id, 1 FROM saga_worker`,
        );
        throw new Error(`not everything was relayed: ${JSON.stringify(stuck)}`);
      });
      const { committed, deliveries, lost, uncommitted, inversions } = await compareDeliveries(world);
      process.stderr.write(
        `seed ${seed}: ${committed.length} events, ${deliveries.length} deliveries, ${kills} kills\n`,
      );
      expect(committed.length).toBeGreaterThan(500);
      expect(await world.query('SELECT 1 FROM saga_outbox_dead_letter')).toEqual([]);
      expect([lost, uncommitted, inversions]).toEqual([[], [], []]);
    },
    DURATION_MS + 150_000,
  );
});
