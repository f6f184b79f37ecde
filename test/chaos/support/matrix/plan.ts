import { DEBUG_POINTS, type DebugPoint } from '../../../../lib/runtime/debug-points.js';
import { SCENARIOS, type Scenario } from '../scenarios.js';
import { textOf, type CrashCase, type Moment } from './crash-case.js';
import type { Reached } from './reached.js';

/** Cases of one crash in a run of CI, of which each scenario has one at every point that it reaches. */
const WANTED = 345;
const ROUNDS_OF_FULL = 4;
const STAGE_ROUNDS_OF_FULL = 3;
/** A stage has one in so many scenarios. Points of claims have all, since only a process that takes over gets there. */
const SPREAD = 3;

/** Sagas that lose their first process, and then all at once the one that takes them over. */
export interface Stage {
  readonly moment: Moment;
  readonly cases: readonly CrashCase[];
}

export interface Plan {
  readonly single: readonly CrashCase[];
  readonly stages: readonly Stage[];
}

/** Everything that is to crash. The same for the same counts. @param full not only what fits into CI */
export function planOf(reached: Reached, full = false): Plan {
  const cases = SCENARIOS.flatMap((scenario) =>
    momentsOf(scenario, reached).map((first) => single(scenario, first)),
  );
  const keyed = SCENARIOS.filter(({ outcome }) => outcome === 'success').flatMap((scenario) =>
    CREATE.map((point) => single(scenario, { point, count: 1 }, true)),
  );
  const all = [...cases, ...keyed];
  const rounds = full ? ROUNDS_OF_FULL : 1;
  return {
    single: Array.from({ length: rounds }, (_, round) =>
      full ? all.map((it) => later(it, round)) : fair(all),
    ).flat(),
    stages: Array.from({ length: full ? STAGE_ROUNDS_OF_FULL : 1 }, (_, round) =>
      TAKEN.map((point, index) => stage(point, { index, round, reached, spread: full ? 1 : SPREAD })),
    ).flat(),
  };
}

export function casesOf({ single: ones, stages }: Plan): readonly CrashCase[] {
  return [...ones, ...stages.flatMap(({ cases }) => cases)];
}

const CREATE = DEBUG_POINTS.filter((point) => point.startsWith('create.'));
const isClaim = (point: DebugPoint) => point.startsWith('claim.');
/** A process that takes over creates nothing. */
const TAKEN = DEBUG_POINTS.filter((point) => !CREATE.includes(point));

function momentsOf({ name }: Scenario, reached: Reached): readonly Moment[] {
  return DEBUG_POINTS.flatMap((point) =>
    Array.from({ length: reached[name]?.[point] ?? 0 }, (_, n) => ({ point, count: n + 1 })),
  );
}

/** Every other case is keyed, but for those that die while they create: these come with a key and without. */
function single(scenario: Scenario, first: Moment, withKey = false): CrashCase {
  const keyed = withKey || first.count % 2 === 0;
  const id = `${scenario.name} / ${textOf(first)}${withKey ? ' with a key' : ''}`;
  return { id, scenario, first, keyed, pace: 0 };
}

/** The same again, with slower handlers. */
function later(it: CrashCase, round: number): CrashCase {
  return { ...it, id: `${it.id} / ${round}`, pace: round * 4 };
}

/** The first of every point and scenario, and of the others as many as are wanted, spread over all. */
function fair(cases: readonly CrashCase[]): readonly CrashCase[] {
  const firsts = cases.filter(({ first }) => first.count === 1);
  const others = cases.filter(({ first }) => first.count > 1);
  const wanted = Math.min(others.length, Math.max(0, WANTED - firsts.length));
  const step = others.length / wanted;
  return [...firsts, ...Array.from({ length: wanted }, (_, n) => others[Math.floor(n * step)] as CrashCase)];
}

interface StageSettings {
  readonly index: number;
  readonly round: number;
  readonly reached: Reached;
  readonly spread: number;
}

function stage(point: DebugPoint, { index, round, reached, spread }: StageSettings): Stage {
  // The claim that a process begins with finds nothing yet: its peer died a moment ago.
  const count = point === 'claim.sending' ? 2 : isClaim(point) ? 1 : 1 + ((index + round) % 3);
  const then = { point, count };
  const scenarios = SCENARIOS.filter((_, n) => isClaim(point) || (n + index) % spread === 0);
  const cases = scenarios.flatMap((scenario, n): CrashCase[] => {
    const open = momentsOf(scenario, reached).filter((moment) => LEAVES_OPEN.includes(moment.point));
    // Some numbers without a common factor, so that stages and scenarios meet other moments.
    const first = open[(n * 7 + index * 5 + round * 3) % open.length];
    if (!first) return [];
    const id = `${scenario.name} / ${textOf(first)}, then ${textOf(then)} / ${round}`;
    return [{ id, scenario, first, then, keyed: false, pace: 0 }];
  });
  return { moment: then, cases };
}

/** Moments at which a saga has certainly not ended. */
const LEAVES_OPEN: readonly DebugPoint[] = [
  'journal.sending',
  'step.beginning',
  'step.returned',
  'undo.beginning',
  'undo.returned',
  'transaction.opened',
  'transaction.fencing',
  'transaction.committing',
];
