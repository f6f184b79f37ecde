import type { Clock } from '../runtime/clock.js';
import type { Log } from '../runtime/log.js';
import { PollingLoop } from '../runtime/polling-loop.js';
import type { OutboxNumbers, OutboxStorage } from './outbox-storage.js';

export interface OutboxKeeperSettings {
  readonly storage: OutboxStorage;
  /** Whether this process speaks for the cluster: one does at a time. */
  readonly leads: () => Promise<boolean>;
  readonly clock: Clock;
  readonly log: Log;
}

const MEASURE_INTERVAL_MS = 5_000;
const FORGET_INTERVAL_MS = 30_000;

/** Counts what is pending, in one process of the cluster, and forgets published events that were kept long enough. */
export class OutboxKeeper {
  private readonly loops: readonly PollingLoop[];
  private measured: OutboxNumbers | undefined;

  constructor(private readonly settings: OutboxKeeperSettings) {
    this.loops = [
      this.every('counting events', MEASURE_INTERVAL_MS, () => this.measure()),
      this.every('forgetting published events', FORGET_INTERVAL_MS, () => settings.storage.forgetSent()),
    ];
  }

  /**
   * What there was at the last count, at most some seconds ago; undefined in every process but one. Processes that all
   * told the same number would have it summed up, and more pods would never lower a number per pod.
   */
  get numbers(): OutboxNumbers | undefined {
    return this.measured;
  }

  start(): void {
    for (const loop of this.loops) loop.start();
  }

  async stop(): Promise<void> {
    this.measured = undefined;
    await Promise.all(this.loops.map((loop) => loop.stop()));
    this.measured = undefined;
  }

  private async measure(): Promise<void> {
    const { leads, storage } = this.settings;
    try {
      this.measured = (await leads()) ? await storage.numbers() : undefined;
    } catch (error) {
      // What cannot be counted is not known: an old number would be taken for a new one.
      this.measured = undefined;
      throw error;
    }
  }

  private every(name: string, interval: number, work: () => Promise<void>): PollingLoop {
    const round = () => work().then(() => false);
    return new PollingLoop({ ...this.settings, name, round, interval, maxInterval: interval });
  }
}
