import { writeFileSync } from 'node:fs';
import { DEBUG_POINTS } from '../../lib/runtime/debug-points.js';
import { describeWith } from '../support/requirement.js';
import { ChaosWorld } from './support/chaos-world.js';
import { momentOf, type CrashResult } from './support/matrix/crash-case.js';
import { casesOf, planOf } from './support/matrix/plan.js';
import { drift, keepReached, measure, reachedBefore, type Reached } from './support/matrix/reached.js';
import { runMatrix } from './support/matrix/run-matrix.js';
import { documentTable, tableOf } from './support/matrix/table.js';
import { SHAPES } from './support/scenarios.js';

const { CHAOS_FULL, CHAOS_TABLE, CHAOS_WRITE } = process.env;
const FULL = CHAOS_FULL === '1';
const MINUTE = 60_000;
const tell = (text: string) => process.stderr.write(`crash matrix: ${text}\n`);

async function measured(): Promise<readonly Reached[]> {
  const world = await ChaosWorld.open();
  try {
    return await measure(world, CHAOS_WRITE === '1' ? 8 : 3);
  } finally {
    await world.close();
  }
}

describeWith('postgres', 'a process that is killed at any durable boundary', () => {
  let runs: readonly Reached[] = [];
  let results: readonly CrashResult[] = [];

  beforeAll(async () => {
    runs = await measured();
    if (CHAOS_WRITE === '1') keepReached(runs);
    results = await runMatrix(planOf(reachedBefore(), FULL), tell);
    const table = tableOf(results);
    process.stderr.write(`\n${table}\n\n`);
    if (CHAOS_TABLE !== undefined) writeFileSync(CHAOS_TABLE, `${table}\n`);
    if (CHAOS_WRITE === '1' && !FULL) documentTable(table);
  }, 90 * MINUTE);

  it('is killed as often as scenarios reach a point: else measure anew with --write', () => {
    expect(drift(reachedBefore(), runs)).toEqual([]);
  });

  it(`is killed in at least ${FULL ? 5_000 : 500} cases, which are those of the plan`, () => {
    const planned = casesOf(planOf(reachedBefore(), FULL)).map(({ id }) => id);
    expect(new Set(planned).size).toBe(planned.length);
    expect(results.map(({ id }) => id)).toEqual(planned);
    expect(results.length).toBeGreaterThanOrEqual(FULL ? 5_000 : 500);
  });

  const groups = DEBUG_POINTS.flatMap((point) => Object.keys(SHAPES).map((shape) => [point, shape] as const));
  const planned = casesOf(planOf(reachedBefore(), FULL));
  it.each(
    groups.filter(([point, shape]) =>
      planned.some((it) => momentOf(it).point === point && it.scenario.shape === shape),
    ),
  )('leaves no saga lost, doubled or half undone at %s of a %s', (point, shape) => {
    const here = results.filter((it) => momentOf(it).point === point && it.scenario.shape === shape);
    expect(here.length).toBeGreaterThan(0);
    const broken = here.filter(({ violations }) => violations.length > 0);
    expect(broken.map(({ id, violations }) => ({ id, violations }))).toEqual([]);
  });
});
