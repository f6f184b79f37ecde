import { describeWith } from '../support/requirement.js';
import { until } from '../support/until.js';
import { ChaosWorld } from './support/chaos-world.js';
import { SCENARIOS } from './support/scenarios.js';

/** A process that comes up and dies, at these points, again and again. */
const LOOP = [
  'claim.stored#1',
  'claim.read#1',
  'journal.sending#1',
  'journal.stored#1',
  'step.beginning#1',
  'claim.stored#1',
  'step.beginning#3',
  'claim.read#1',
  'step.beginning#2',
  'journal.sent#2',
];

describeWith('postgres', 'a process that dies whenever it comes up', () => {
  let world: ChaosWorld;
  beforeAll(async () => {
    world = await ChaosWorld.open();
  });
  afterAll(() => world.close());

  it(`parks no saga in ${LOOP.length} deaths, and the next one ends them all`, async () => {
    // Each death uses up an attempt of the steps that were running; this is not about those.
    const env = { CHAOS_ATTEMPTS: '20' };
    const starter = await world.start({ env: { ...env, CHAOS_HANG: '1' } });
    for (const scenario of SCENARIOS) world.execute(starter, scenario.name, scenario);
    const stored = async () => (await world.query('SELECT 1 FROM saga_instance')).length;
    await until(async () => (await stored()) === SCENARIOS.length);
    starter.kill('SIGKILL');
    for (const crashAt of LOOP) {
      const victim = world.spawn({ crashAt, env });
      expect([crashAt, await victim.ended(), victim.complaints]).toEqual([crashAt, 'SIGKILL', '']);
    }
    expect(await world.query(`SELECT id FROM saga_instance WHERE status = 'parked'`)).toEqual([]);
    const healthy = await world.start({ env });
    await world.allEnded();
    await healthy.stop();
    expect([...(await world.violations())]).toEqual([]);
  });

  it('and one that a saga kills every time is rid of it: that saga is parked, alone', async () => {
    const killer = SCENARIOS[0] as never;
    const dies = { crashAt: 'step.beginning#1', env: { CHAOS_ATTEMPTS: '20' } };
    const first = await world.start(dies);
    world.execute(first, 'killer', killer);
    await first.ended();
    for (let deaths = 1; deaths <= 5; deaths++) {
      const victim = world.spawn(dies);
      expect(await victim.ended()).toBe('SIGKILL');
    }
    const last = await world.start(dies);
    await until(
      async () => (await world.query(`SELECT 1 FROM saga_instance WHERE status = 'parked'`)).length === 1,
    );
    await last.stop();
    const [parked] = await world.query(
      `SELECT i.tags->>'case' AS case, p.error::json->>'code' AS code
       FROM saga_instance i JOIN saga_payload p ON p.saga_id = i.id WHERE status = 'parked'`,
    );
    expect(parked).toEqual({ case: 'killer', code: 'SAGAZ_CRASH_LOOP' });
  });
});
