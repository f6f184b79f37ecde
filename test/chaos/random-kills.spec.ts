import { setTimeout as sleep } from 'node:timers/promises';
import { describeWith } from '../support/requirement.js';
import { ChaosWorld } from './support/chaos-world.js';
import { random, startLoad } from './support/load.js';
import type { WorkerProcess } from './support/worker-process.js';

const DURATION_MS = process.env['CHAOS_FULL'] === '1' ? 600_000 : 60_000;
const WORKERS = 3;

describeWith('postgres', 'three workers of which one after the other is killed', () => {
  let world: ChaosWorld;
  beforeAll(async () => {
    world = await ChaosWorld.open();
  });
  afterAll(() => world.close());

  it(
    'leave no saga lost, doubled, half undone or parked',
    async () => {
      const seed = Number(process.env['SAGAZ_SEED'] ?? Date.now() % 1_000_000);
      const chance = random(seed);
      const living = new Set<WorkerProcess>();
      for (let n = 0; n < WORKERS; n++) living.add(await world.start());
      const stopLoad = startLoad(world, { chance, processes: () => [...living], perSecond: 25, pace: 20 });
      let kills = 0;
      for (const end = Date.now() + DURATION_MS; Date.now() < end; kills++) {
        await sleep(300 + chance() * 1_500);
        const victim = [...living][Math.floor(chance() * living.size)];
        if (!victim) continue;
        living.delete(victim);
        victim.kill('SIGKILL');
        living.add(await world.start());
      }
      const started = await stopLoad();
      await world.allEnded();
      const records = [...(await world.records()).values()].flat();
      const epochs = await world.query<{ taken: number }>(
        'SELECT count(*)::int AS taken FROM saga_instance WHERE epoch > 1',
      );
      process.stderr.write(
        `seed ${seed}: ${started} sagas asked for, ${records.length} stored, ${kills} kills, ${epochs[0]?.taken} taken over\n`,
      );
      expect(records.length).toBeGreaterThan(started / 2);
      expect(epochs[0]?.taken).toBeGreaterThan(kills / 2);
      expect([...(await world.violations())]).toEqual([]);
    },
    DURATION_MS + 180_000,
  );
});
