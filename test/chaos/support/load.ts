import { setTimeout as sleep } from 'node:timers/promises';
import type { ChaosWorld } from './chaos-world.js';
import { SCENARIOS } from './scenarios.js';
import type { WorkerProcess } from './worker-process.js';

/** A small generator of numbers that are the same for the same seed (mulberry32). */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface Load {
  /** Between 0 and 1. */
  readonly chance: () => number;
  /** Processes to choose from, now. */
  readonly processes: () => readonly WorkerProcess[];
  readonly perSecond: number;
  readonly pace: number;
}

/** Has scenarios run by processes until it is told to stop. @returns how many it told somebody to run */
export function startLoad(
  world: ChaosWorld,
  { chance, processes, perSecond, pace }: Load,
): () => Promise<number> {
  let going = true;
  let count = 0;
  const run = async () => {
    while (going) {
      const living = processes();
      const process = living[Math.floor(chance() * living.length)];
      const scenario = SCENARIOS[Math.floor(chance() * SCENARIOS.length)];
      if (process && scenario) world.execute(process, `load ${++count}`, scenario, { pace });
      await sleep(1_000 / perSecond);
    }
    return count;
  };
  const over = run();
  return () => {
    going = false;
    return over;
  };
}
