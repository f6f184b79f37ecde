import type { BenchSettings } from './bench.js';

/** Measures once, for about this long. @returns a rate per second */
export type Contender = (ms: number) => Promise<number>;

interface Rounds {
  readonly count: number;
  readonly warmUpMs: number;
  readonly ms: number;
}

const FULL: Rounds = { count: 5, warmUpMs: 1_000, ms: 2_000 };
const QUICK: Rounds = { count: 3, warmUpMs: 50, ms: 100 };

/**
 * Warms every contender up, then measures all of them in turn, several times, so that what else the machine does
 * hits each of them alike. @returns the median rate of each
 */
export async function interleaved<K extends string>(
  contenders: Readonly<Record<K, Contender>>,
  { quick, progress }: BenchSettings,
): Promise<Readonly<Record<K, number>>> {
  const { count, warmUpMs, ms } = quick ? QUICK : FULL;
  const entries = Object.entries<Contender>(contenders);
  const rates = new Map<string, number[]>(entries.map(([name]) => [name, []]));
  progress.start(entries.length * (count + 1));
  try {
    for (const [name, measure] of entries) {
      await measure(warmUpMs);
      progress.step(`${name}, warm-up`);
    }
    for (let round = 1; round <= count; round++) {
      for (const [name, measure] of entries) {
        rates.get(name)?.push(await measure(ms));
        progress.step(`${name}, run ${round} of ${count}`);
      }
    }
  } finally {
    progress.stop();
  }
  return Object.fromEntries([...rates].map(([name, values]) => [name, median(values)])) as Record<K, number>;
}

/** The middle one; the number of values is odd. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
}
