import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DebugPoint } from '../../lib/runtime/debug-points.js';
import { describeWith } from '../support/requirement.js';
import { until } from '../support/until.js';
import { ChaosWorld } from './support/chaos-world.js';
import { SCENARIOS } from './support/scenarios.js';

const LEASE_MS = 1_000;
const AT_ONCE = 5;
/** Where a process freezes, and how often each. */
const POINTS: readonly DebugPoint[] = [
  'step.beginning',
  'step.returned',
  'journal.sending',
  'journal.sent',
  'journal.stored',
  'transaction.opened',
  'transaction.fencing',
  'transaction.committing',
  'undo.beginning',
  'undo.returned',
];
const TIMES = 5;

describeWith('postgres', 'a process that is frozen for twice its lease', () => {
  let world: ChaosWorld;
  beforeAll(async () => {
    world = await ChaosWorld.open();
    await world.start();
  });
  afterAll(() => world.close());

  it(`changes nothing when it wakes up, and works again: ${POINTS.length * TIMES} times`, async () => {
    const scenarios = SCENARIOS.filter(
      ({ name }) => name === 'line: d fails, unknown' || name.startsWith('diamond: d'),
    );
    const queue = POINTS.flatMap((point) => Array.from({ length: TIMES }, (_, n) => ({ point, n })));
    const lane = async () => {
      for (let next = queue.shift(); next; next = queue.shift()) {
        const { point, n } = next;
        const scenario = scenarios[n % scenarios.length];
        if (!scenario) throw new Error('no scenario');
        const id = `${point} ${n}`;
        // Transactions are few in a saga, other points many.
        const count = point.startsWith('transaction') ? 1 : 1 + (n % 2);
        const zombie = await world.start({ env: { CHAOS_FREEZE_AT: `${point}#${count}` } });
        const { pid = 0 } = zombie.child;
        world.execute(zombie, id, scenario);
        await until(() => stateOf(pid) === 'T');
        await sleep(2 * LEASE_MS);
        zombie.kill('SIGCONT');
        // It hears that it was declared dead, and goes on under another name.
        await until(async () => ((await zombie.counts())['fenced'] ?? 0) > 0);
        world.execute(zombie, `${id}, afterwards`, SCENARIOS[0] as never);
        await until(() => zombie.said.some((it) => it.kind === 'ended' && it.id === `${id}, afterwards`));
        await zombie.stop();
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
    await world.allEnded();
    const found = [...(await world.violations())].map(([id, texts]) => [
      id,
      // An ordinary step of a process that was taken for dead cannot be stopped; what it did late is undone again, late.
      texts.filter((text) => !/^I[45]/.test(text)),
    ]);
    expect(found.filter(([, texts]) => (texts?.length ?? 0) > 0)).toEqual([]);
  });
});

function stateOf(pid: number): string | undefined {
  return /\) (\w) /.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1];
}
