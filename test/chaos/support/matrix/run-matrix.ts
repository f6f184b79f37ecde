import { Semaphore } from '../../../../lib/runtime/semaphore.js';
import { ChaosWorld } from '../chaos-world.js';
import type { WorkerProcess } from '../worker-process.js';
import { isAskedAgain, mayBeMissing, textOf, type CrashCase, type CrashResult } from './crash-case.js';
import { casesOf, type Plan, type Stage } from './plan.js';

/** Processes that are about to die at the same time: more than processors, because a case mostly waits. */
const VICTIMS = 5;
/** Stages at the same time. */
const STAGES = 2;
/**
 * A victim knows only its own version of the sagas, so it claims none that other victims left behind, and reaches its
 * point with its own. More versions than cases that are open at a time.
 */
const VERSIONS = 200;
const SURVIVOR = { CHAOS_VERSIONS: `1-${VERSIONS}` };
/** How often a case is tried again whose point was not reached: parallel steps share flushes as it happens. */
const TRIES = 5;
const END_LIMIT_MS = 180_000;

interface Run {
  readonly id: string;
  readonly it: CrashCase;
}

/**
 * Runs the plan: a victim for each case, and a peer that ends what the victims leave behind. The sagas of a stage have
 * no peer until a process has taken them over and died, too.
 * @param tell is called now and then with how far it is
 */
export async function runMatrix(plan: Plan, tell: (text: string) => void): Promise<readonly CrashResult[]> {
  const runner = new MatrixRunner(casesOf(plan).length, tell);
  const stages = [...plan.stages];
  const lane = async () => {
    const world = await ChaosWorld.open();
    try {
      const results: CrashResult[] = [];
      for (let next = stages.shift(); next; next = stages.shift())
        results.push(...(await runner.stage(world, next)));
      return results;
    } finally {
      await world.close();
    }
  };
  const lanes = await Promise.all([runner.singles(plan.single), ...Array.from({ length: STAGES }, lane)]);
  const order = new Map(casesOf(plan).map(({ id }, index) => [id, index]));
  return lanes.flat().sort((a, b) => (order.get(a.id) ?? 0) - (order.get(b.id) ?? 0));
}

class MatrixRunner {
  private readonly room = new Semaphore(VICTIMS);
  private killed = 0;

  constructor(
    private readonly total: number,
    private readonly tell: (text: string) => void,
  ) {}

  async singles(cases: readonly CrashCase[]): Promise<readonly CrashResult[]> {
    const world = await ChaosWorld.open();
    try {
      const peer = await world.start({ env: SURVIVOR });
      const runs = await Promise.all(
        cases.map(async (it, index) => {
          const run = await this.victim(world, it, 1 + (index % VERSIONS));
          if (isAskedAgain(it)) ask(world, peer, it);
          return run;
        }),
      );
      await world.allEnded(END_LIMIT_MS);
      return await judged(world, cases, runs.flat());
    } finally {
      await world.close();
    }
  }

  async stage(world: ChaosWorld, { moment, cases }: Stage): Promise<readonly CrashResult[]> {
    const runs = await Promise.all(cases.map((it, index) => this.victim(world, it, 1 + index)));
    const next = world.spawn({ crashAt: textOf(moment), env: SURVIVOR });
    const died = await Promise.race([next.ended(), world.allEnded(END_LIMIT_MS).then(() => 'all ended')]);
    if (died === 'all ended') await next.stop();
    const survivor = await world.start({ env: SURVIVOR });
    await world.allEnded(END_LIMIT_MS);
    const results = await judged(world, cases, runs.flat());
    await survivor.stop();
    if (died === 'SIGKILL') return results;
    const missed = `${textOf(moment)} was not reached: ${died} ${next.complaints}`;
    return results.map((it) => ({ ...it, violations: [...it.violations, missed] }));
  }

  /** Has processes start the saga of a case until one dies at its moment. @returns the runs of the case, each one saga */
  private async victim(world: ChaosWorld, it: CrashCase, version: number): Promise<readonly Run[]> {
    const leave = await this.room.enter();
    try {
      const runs: Run[] = [];
      for (let n = 1; n <= TRIES; n++) {
        const id = n === 1 ? it.id : `${it.id}, run ${n}`;
        runs.push({ id, it });
        if (await dies(world, runs.at(-1) as Run, version)) break;
        if (n === TRIES) runs.push({ id: 'never', it });
      }
      if (++this.killed % 50 === 0) this.tell(`${this.killed} of ${this.total} processes killed`);
      return runs;
    } finally {
      leave();
    }
  }
}

/** @returns whether the process was killed at the moment of the case, and did not just end the saga */
async function dies(world: ChaosWorld, { id, it }: Run, version: number): Promise<boolean> {
  const { scenario, first, keyed, pace } = it;
  const victim = await world.start({ crashAt: textOf(first), env: { CHAOS_VERSIONS: String(version) } });
  world.execute(victim, id, scenario, { pace, ...(keyed && { key: id }) });
  await victim.until(() => victim.said.some(({ kind }) => kind === 'ended' || kind === 'failed'));
  if (victim.child.exitCode === null && victim.child.signalCode === null) await victim.stop();
  return (await victim.ended()) === 'SIGKILL';
}

/** The caller did not hear whether the saga was stored, and asks another process for the same. */
function ask(world: ChaosWorld, peer: WorkerProcess, { id, scenario, pace }: CrashCase): void {
  world.execute(peer, id, scenario, { pace, key: id });
}

async function judged(
  world: ChaosWorld,
  cases: readonly CrashCase[],
  runs: readonly Run[],
): Promise<readonly CrashResult[]> {
  const records = await world.records();
  const broken = await world.violations();
  const faults = ({ id, it }: Run): readonly string[] => {
    if (id === 'never') return [`${textOf(it.first)} was not reached in ${TRIES} runs`];
    const lost = !records.has(id) && !(id === it.id && mayBeMissing(it));
    return [...(lost ? ['I1: its saga is not there'] : []), ...(broken.get(id) ?? [])];
  };
  return cases.map((it) => ({ ...it, violations: runs.filter((run) => run.it === it).flatMap(faults) }));
}
