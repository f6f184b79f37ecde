import type { Progress } from './progress.js';

export interface Bench {
  /** What it is called by on the command line. */
  readonly name: string;
  /** One line, for the list of benches. */
  readonly about: string;
  /** @throws an error when the work that is measured was not done */
  run(settings: BenchSettings): Promise<readonly Figure[]>;
}

export interface BenchSettings {
  /** Only shows that the bench works; its figures mean little. */
  readonly quick: boolean;
  readonly progress: Progress;
  /** Prints a line. */
  readonly tell: (text: string) => void;
}

/** One number of a bench. */
export interface Figure {
  /** Its name in the JSON file. */
  readonly field: string;
  readonly value: number;
  readonly unit: string;
  readonly bar?: Bar;
}

/** What a figure has to reach. */
export interface Bar {
  readonly text: string;
  met(value: number): boolean;
}

export const atLeast = (limit: number): Bar => ({ text: `>= ${limit}`, met: (value) => value >= limit });
export const atMost = (limit: number): Bar => ({ text: `<= ${limit}`, met: (value) => value <= limit });
