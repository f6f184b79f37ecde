import { readFileSync, writeFileSync } from 'node:fs';
import { DEBUG_POINTS, type DebugPoint } from '../../../../lib/runtime/debug-points.js';
import type { ChaosWorld } from '../chaos-world.js';
import { SCENARIOS, type Scenario } from '../scenarios.js';

/** How often a scenario reaches each point when nothing crashes, by the name of the scenario. */
export type Reached = Readonly<Record<string, Counts>>;
type Counts = Partial<Record<DebugPoint, number>>;

const FILE = 'test/chaos/reached.json';
/** Parallel steps share flushes as it happens, so a run of the wide shape may have more of them than the plan. */
const MAY_BE_MORE = { line: 1, diamond: 1, pivot: 1, wide: 5 };

/** What the matrix is planned by: measured once and kept, so that the number of cases is always the same. */
export function reachedBefore(): Reached {
  return JSON.parse(readFileSync(FILE, 'utf8')) as Reached;
}

export function keepReached(runs: readonly Reached[]): void {
  const least = Object.fromEntries(
    SCENARIOS.map(({ name }) => [name, leastOf(runs.map((run) => run[name]))]),
  );
  writeFileSync(FILE, `${JSON.stringify(least, null, 2)}\n`);
}

function leastOf(runs: readonly (Counts | undefined)[]): Counts {
  const least = DEBUG_POINTS.map(
    (point) => [point, Math.min(...runs.map((run) => run?.[point] ?? 0))] as const,
  );
  return Object.fromEntries(least.filter(([, count]) => count > 0));
}

/** Runs every scenario some times without a crash. Claims are not counted: a process claims when it likes. */
export async function measure(world: ChaosWorld, times: number): Promise<readonly Reached[]> {
  const process = await world.start();
  const runs: Reached[] = [];
  for (let n = 0; n < times; n++) {
    const run: Record<string, Counts> = {};
    for (const scenario of SCENARIOS) {
      const before = await process.counts();
      const id = `reference ${n} ${scenario.name}`;
      world.execute(process, id, scenario);
      await process.until(() => process.said.some((it) => 'id' in it && it.id === id));
      const after = await process.counts();
      const points = DEBUG_POINTS.filter((point) => !point.startsWith('claim.'));
      run[scenario.name] = Object.fromEntries(
        points.map((point) => [point, (after[point] ?? 0) - (before[point] ?? 0)]),
      );
    }
    runs.push(run);
  }
  await process.stop();
  return runs;
}

/** Where the plan no longer fits what the scenarios do. */
export function drift(kept: Reached, runs: readonly Reached[]): string[] {
  const names = [...new Set([...Object.keys(kept), ...SCENARIOS.map(({ name }) => name)])];
  return names.flatMap((name) => {
    const scenario = SCENARIOS.find((it) => it.name === name);
    if (!scenario) return [`${name} is no scenario any more`];
    return DEBUG_POINTS.flatMap((point) => pointDrift(scenario, point, { kept, runs }));
  });
}

function pointDrift(
  { name, shape }: Scenario,
  point: DebugPoint,
  { kept, runs }: { readonly kept: Reached; readonly runs: readonly Reached[] },
): string[] {
  const planned = kept[name]?.[point] ?? 0;
  const found = runs.map((run) => run[name]?.[point] ?? 0);
  const least = Math.min(...found);
  const fits =
    planned <= Math.max(...found) && least <= planned + MAY_BE_MORE[shape] && (planned > 0 || least === 0);
  return fits ? [] : [`${name} reaches ${point} ${found.join(' or ')} times, not ${planned}`];
}
