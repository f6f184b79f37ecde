import { spawnSync } from 'node:child_process';
import { describeWith } from '../support/requirement.js';
import { ChaosWorld } from './support/chaos-world.js';
import { SCENARIOS } from './support/scenarios.js';

/** Of Debian's package `faketime`; it is loaded into the worker. */
const LIBRARY = spawnSync('dpkg', ['-L', 'libfaketime'], { encoding: 'utf8' })
  .stdout?.split('\n')
  .find((file) => file.endsWith('/libfaketime.so.1'));
const required = (process.env['SAGAZ_REQUIRE'] ?? '').split(',').includes('faketime');

describeWith('postgres', 'workers whose clocks are an hour apart', () => {
  let world: ChaosWorld;
  beforeAll(async () => {
    world = await ChaosWorld.open();
  });
  afterAll(() => world.close());

  const title = 'run and take over sagas as if their clocks were right';
  if (LIBRARY === undefined && !required) {
    it.skip(`${title} (needs faketime: the library libfaketime is not installed)`, () => undefined);
    return;
  }

  it(title, async () => {
    const shifted = (offset: string) => ({
      env: {
        LD_PRELOAD: LIBRARY ?? 'libfaketime is not installed',
        FAKETIME: offset,
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
        DONT_FAKE_MONOTONIC: '1',
      },
    });
    const [early, late] = [await world.start(shifted('-30m')), await world.start(shifted('+30m'))];
    for (const scenario of SCENARIOS) {
      world.execute(early, `early ${scenario.name}`, scenario, { pace: 20 });
      world.execute(late, `late ${scenario.name}`, scenario, { pace: 20 });
    }
    const endsOf = (name: string) =>
      [early, late].flatMap(({ said }) => said).filter((it) => it.kind === name).length;
    await late.until(() => endsOf('ended') > SCENARIOS.length / 2);
    late.kill('SIGKILL');
    const startedAt = Date.now();
    await world.allEnded();
    process.stderr.write(`clocks: all ended ${Date.now() - startedAt} ms after the kill\n`);
    expect((await early.counts())['takeovers']).toBeGreaterThan(0);
    expect([...(await world.violations())]).toEqual([]);
    // What is stored follows the clock of the database.
    const [row] = await world.query<{ apart: number }>(
      `SELECT max(abs(extract(epoch FROM clock_timestamp() - started_at)))::int AS apart FROM saga_instance`,
    );
    expect(row?.apart).toBeLessThan(300);
  });
});
