import { writeFileSync } from 'node:fs';
import { DEBUG_POINTS } from '../../lib/runtime/debug-points.js';
import { describeWith } from '../support/requirement.js';
import { runMatrix, tableOf, type CrashResult } from './support/matrix.js';

const WANTED = process.env['CHAOS_FULL'] === '1' ? 5_000 : 500;
const MINUTE = 60_000;

describeWith('postgres', 'a process that is killed at any durable boundary', () => {
  let results: readonly CrashResult[] = [];

  beforeAll(async () => {
    results = await runMatrix(WANTED, (text) => process.stderr.write(`crash matrix: ${text}\n`));
    const table = tableOf(results);
    process.stderr.write(`\n${table}\n\n`);
    const { CHAOS_TABLE } = process.env;
    if (CHAOS_TABLE !== undefined) writeFileSync(CHAOS_TABLE, `${table}\n`);
  }, 60 * MINUTE);

  it(`is killed in at least ${WANTED} cases`, () => {
    expect(results.length).toBeGreaterThanOrEqual(WANTED);
  });

  it.each(DEBUG_POINTS)('leaves no saga lost, doubled or half undone at %s', (point) => {
    const here = results.filter((it) => it.point === point);
    expect(here.length).toBeGreaterThan(0);
    expect(here.filter(({ violations }) => violations.length > 0)).toEqual([]);
  });
});
