import type { Clock } from './clock.js';
import type { Log } from './log.js';
import { PollingLoop } from './polling-loop.js';

export interface CensusSettings<T> {
  /** Named in the log line of a count that failed. */
  readonly name: string;
  readonly count: () => Promise<T>;
  readonly intervalMs: number;
  /** Whether this process speaks for the cluster: one does at a time. */
  readonly leads: () => Promise<boolean>;
  readonly clock: Clock;
  readonly log: Log;
}

/** Counts something again and again, in one process of the cluster. */
export class Census<T> {
  private readonly loop: PollingLoop;
  private counted: T | undefined;

  constructor(private readonly settings: CensusSettings<T>) {
    const { intervalMs: interval } = settings;
    const round = () => this.measure().then(() => false);
    this.loop = new PollingLoop({ ...settings, round, interval, maxInterval: interval });
  }

  /**
   * What there was at the last count; undefined in every process but one. Processes that all told the same number would
   * have it summed up, and more pods would never lower a number per pod.
   */
  get numbers(): T | undefined {
    return this.counted;
  }

  start(): void {
    this.loop.start();
  }

  async stop(): Promise<void> {
    this.counted = undefined;
    await this.loop.stop();
    this.counted = undefined;
  }

  private async measure(): Promise<void> {
    const { leads, count } = this.settings;
    try {
      this.counted = (await leads()) ? await count() : undefined;
    } catch (error) {
      // What cannot be counted is not known: an old number would be taken for a new one.
      this.counted = undefined;
      throw error;
    }
  }
}
