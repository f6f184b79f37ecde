import { setTimeout as sleep } from 'node:timers/promises';
import { describeWith } from '../support/requirement.js';
import { until } from '../support/until.js';
import { ChaosWorld } from './support/chaos-world.js';
import { random, startLoad } from './support/load.js';
import { SCENARIOS } from './support/scenarios.js';
import type { WorkerProcess } from './support/worker-process.js';

const DURATION_MS = process.env['CHAOS_FULL'] === '1' ? 300_000 : 20_000;
const OLD = { CHAOS_VERSIONS: '1' };
const BOTH = { CHAOS_VERSIONS: '1-2' };
const NEW = { CHAOS_VERSIONS: '2' };
const ONLY_UNDOS_OF_OLD = { CHAOS_VERSIONS: '1/2' };

describeWith('postgres', 'a rolling deploy', () => {
  let world: ChaosWorld;
  beforeEach(async () => {
    world = await ChaosWorld.open();
  });
  afterEach(() => world.close());

  const count = async (where: string) =>
    (await world.query(`SELECT 1 FROM saga_instance WHERE ${where}`)).length;

  it(
    'back and forth under load and kills ends every saga of the old version and of the new one',
    async () => {
      const chance = random(Number(process.env['SAGAZ_SEED'] ?? Date.now() % 1_000_000));
      const living = new Set<WorkerProcess>();
      for (const env of [OLD, OLD, BOTH]) living.add(await world.start({ env }));
      const stopLoad = startLoad(world, { chance, processes: () => [...living], perSecond: 25, pace: 20 });
      for (const end = Date.now() + DURATION_MS; Date.now() < end;) {
        await sleep(300 + chance() * 1_000);
        const victim = [...living][Math.floor(chance() * living.size)];
        if (!victim) continue;
        living.delete(victim);
        if (chance() < 0.5) victim.kill('SIGKILL');
        else await victim.stop();
        const env = [OLD, BOTH, NEW][Math.floor(chance() * 3)] ?? OLD;
        living.add(await world.start({ env }));
      }
      living.add(await world.start({ env: BOTH }));
      await stopLoad();
      await world.allEnded();
      expect(await count('version = 1')).toBeGreaterThan(20);
      expect(await count('version = 2')).toBeGreaterThan(20);
      expect([...(await world.violations())]).toEqual([]);
    },
    DURATION_MS + 120_000,
  );

  it('that leaves only the undos of the old version undoes what its sagas have done', async () => {
    const old = await world.start({ env: OLD });
    const scenarios = SCENARIOS.filter(({ shape, outcome }) => shape !== 'pivot' && outcome === 'success');
    const deep = { pace: 150 };
    for (const scenario of scenarios) world.execute(old, `success ${scenario.name}`, scenario, deep);
    // Some of their steps are done, others are under way.
    const done = async () =>
      (await world.query(`SELECT 1 FROM saga_journal WHERE kind = 'step_completed'`)).length;
    await until(async () => (await done()) >= scenarios.length);
    old.kill('SIGKILL');
    await old.ended();
    const fresh = await world.start({ env: ONLY_UNDOS_OF_OLD });
    await world.allEnded();
    await fresh.stop();
    expect(await count(`status = 'compensated'`)).toBe(scenarios.length);
    expect([...(await world.violations())]).toEqual([]);
  });
});
