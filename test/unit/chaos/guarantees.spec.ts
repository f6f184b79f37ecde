import { casesOf, planOf } from '../../chaos/support/matrix/plan.js';
import { reachedBefore } from '../../chaos/support/matrix/reached.js';
import { documentedTable, tableOf } from '../../chaos/support/matrix/table.js';

describe('the crash matrix in the documentation', () => {
  const planned = casesOf(planOf(reachedBefore()));

  it('has the cases that a run of CI has, and no violation: else write it anew with --write', () => {
    expect(documentedTable()).toBe(tableOf(planned.map((it) => ({ ...it, violations: [] }))));
  });

  it('has a case of every scenario at every point that it reaches', () => {
    const cases = new Set(planned.map(({ scenario, first }) => `${scenario.name} ${first.point}`));
    const reached = Object.entries(reachedBefore()).flatMap(([name, counts]) =>
      Object.keys(counts).map((point) => `${name} ${point}`),
    );
    expect(reached.filter((it) => !cases.has(it))).toEqual([]);
    expect(reached.length).toBeGreaterThan(250);
  });

  it('counts every violation in its row', () => {
    const [first, ...rest] = planned.map((it) => ({ ...it, violations: [] as string[] }));
    const broken = [{ ...(first as (typeof rest)[number]), violations: ['I1: it is running'] }, ...rest];
    const last = tableOf(broken)
      .split('\n')
      .map((row) => row.split('|').at(-2)?.trim());
    expect(last.filter((cell) => cell === '1')).toHaveLength(2);
  });
});
