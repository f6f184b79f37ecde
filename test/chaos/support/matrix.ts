import type { DebugPoint } from '../../../lib/runtime/debug-points.js';
import { DEBUG_POINTS } from '../../../lib/runtime/debug-points.js';
import { ChaosWorld } from './chaos-world.js';
import { OUTCOMES, SCENARIOS, SHAPES, type Scenario } from './scenarios.js';

/** A process that runs one scenario dies when it reaches a point for the n-th time. */
export interface CrashCase {
  readonly id: string;
  readonly scenario: Scenario;
  readonly point: DebugPoint;
  readonly count: number;
}

export interface CrashResult extends CrashCase {
  readonly violations: readonly string[];
}

/** Points that a process reaches when it takes over sagas, not when it starts them. */
export const CLAIM_POINTS: readonly DebugPoint[] = ['claim.sending', 'claim.stored', 'claim.read'];

/** Victims at the same time: more than processors, because a case mostly waits. */
const VICTIMS = 5;

/**
 * Runs the crash matrix: a victim for each case, and one peer that ends what they leave behind. Points of claims have
 * victims that find sagas which nobody runs, before there is a peer.
 * @param wanted how many cases at least; those that there are come again with other timing when they are too few
 * @param tell is called now and then with how far it is
 */
export async function runMatrix(
  wanted: number,
  tell: (text: string) => void,
): Promise<readonly CrashResult[]> {
  const world = await ChaosWorld.open();
  try {
    const counts = await referenceCounts(world);
    const own = takeFair(casesOf(counts), wanted);
    const claimed = await crashClaims(world);
    await world.start();
    const crashed: CrashCase[] = [];
    const queue = [...own];
    const lane = async () => {
      for (let next = queue.shift(); next; next = queue.shift()) {
        const id = await crash(world, next);
        if (crashed.push({ ...next, id }) % 50 === 0)
          tell(`${crashed.length} of ${own.length} processes crashed`);
      }
    };
    await Promise.all(Array.from({ length: VICTIMS }, lane));
    tell('every process has crashed; waiting for the peer to end what they left');
    await world.allEnded();
    const found = await world.violations();
    return [...claimed, ...crashed].map((it) => ({ ...it, violations: found.get(it.id) ?? [] }));
  } finally {
    await world.close();
  }
}

/** How often each scenario reaches each point without a crash. */
async function referenceCounts(world: ChaosWorld) {
  const process = await world.start();
  const counts = new Map<Scenario, Readonly<Record<string, number>>>();
  let before = await process.counts();
  for (const scenario of SCENARIOS) {
    const id = `reference ${scenario.name}`;
    world.execute(process, id, scenario);
    await process.until(() => process.said.some((it) => 'id' in it && it.id === id));
    const after = await process.counts();
    counts.set(
      scenario,
      Object.fromEntries(DEBUG_POINTS.map((it) => [it, (after[it] ?? 0) - (before[it] ?? 0)])),
    );
    before = after;
  }
  await process.stop();
  return counts;
}

function casesOf(counts: ReadonlyMap<Scenario, Readonly<Record<string, number>>>): CrashCase[] {
  return [...counts].flatMap(([scenario, reached]) =>
    DEBUG_POINTS.filter((point) => !CLAIM_POINTS.includes(point)).flatMap((point) =>
      Array.from({ length: reached[point] ?? 0 }, (_, n) => ({
        ...{ id: `${scenario.name} / ${point}#${n + 1}`, scenario, point, count: n + 1 },
      })),
    ),
  );
}

/** As many as are wanted, spread over all; all of them again and again when they are too few. */
function takeFair(cases: readonly CrashCase[], wanted: number): CrashCase[] {
  if (wanted < cases.length) {
    const step = cases.length / wanted;
    return Array.from({ length: wanted }, (_, n) => cases[Math.floor(n * step)] as CrashCase);
  }
  return Array.from({ length: wanted }, (_, n) => {
    const it = cases[n % cases.length] as CrashCase;
    return { ...it, id: `${it.id} / ${Math.floor(n / cases.length)}` };
  });
}

/** The victim starts the saga and dies. What several flushes share may be reached less often than in the reference run. */
async function crash(world: ChaosWorld, { id, scenario, point, count }: CrashCase): Promise<string> {
  for (let n = count; n > 0; n--) {
    const victim = await world.start({ crashAt: `${point}#${n}` });
    // A run that did not reach the point is a case of its own.
    const own = n === count ? id : `${id}, run ${n}`;
    world.execute(victim, own, scenario, count % 2 === 0 ? { key: own } : {});
    await victim.until(() => victim.said.some((it) => it.kind === 'ended' || it.kind === 'failed'));
    if ((await endOf(victim)) === 'SIGKILL') return own;
  }
  throw new Error(`${id}: the point was never reached`);
}

async function endOf(victim: {
  stop(): Promise<void>;
  ended(): Promise<NodeJS.Signals | null>;
  child: { exitCode: number | null; signalCode: NodeJS.Signals | null };
}) {
  if (victim.child.exitCode === null && victim.child.signalCode === null) await victim.stop();
  return victim.ended();
}

/** Every scenario is started by a process that dies at its first step; then the next ones die while they take over. */
async function crashClaims(world: ChaosWorld): Promise<readonly CrashCase[]> {
  const results: CrashCase[] = [];
  for (const point of CLAIM_POINTS) {
    const starter = await world.start({ env: { CHAOS_HANG: '1' } });
    for (const scenario of SCENARIOS) {
      const id = `${scenario.name} / ${point}`;
      world.execute(starter, id, scenario);
      results.push({ id, scenario, point, count: 1 });
    }
    await starterIsBusy(world, results.length);
    starter.kill('SIGKILL');
    await starter.ended();
    const victim = world.spawn({ crashAt: `${point}#1` });
    if ((await victim.ended()) !== 'SIGKILL')
      throw new Error(`${point} was not reached: ${victim.complaints}`);
  }
  return results;
}

async function starterIsBusy(world: ChaosWorld, sagas: number): Promise<void> {
  for (;;) {
    const [row] = await world.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM saga_instance WHERE tags->>'case' LIKE '%claim.%'`,
    );
    if ((row?.count ?? 0) >= sagas) return;
  }
}

/** The matrix as lines of Markdown: a row for each point, and what the outcomes and shapes count. */
export function tableOf(results: readonly CrashResult[]): string {
  const columns = [
    ...OUTCOMES.map((outcome) => ({
      title: outcome,
      has: ({ scenario }: CrashCase) => scenario.outcome === outcome,
    })),
    ...Object.keys(SHAPES).map((shape) => ({
      title: shape,
      has: ({ scenario }: CrashCase) => scenario.shape === shape,
    })),
    { title: 'cases', has: () => true },
  ];
  const rows = DEBUG_POINTS.map((point) => {
    const here = results.filter((it) => it.point === point);
    const broken = here.filter(({ violations }) => violations.length > 0).length;
    return [`\`${point}\``, ...columns.map(({ has }) => String(here.filter(has).length)), String(broken)];
  });
  const totals = columns.map(({ has }) => String(results.filter(has).length));
  const broken = results.filter(({ violations }) => violations.length > 0).length;
  const lines = [
    ['point', ...columns.map(({ title }) => title), 'violations'],
    ['---', ...columns.map(() => '---:'), '---:'],
    ...rows,
    ['all', ...totals, String(broken)],
  ];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
