import { Census } from '../runtime/census.js';
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
  private readonly census: Census<OutboxNumbers>;
  private readonly forgetting: PollingLoop;

  constructor(settings: OutboxKeeperSettings) {
    const { storage } = settings;
    const count = () => storage.numbers();
    this.census = new Census({
      ...{ ...settings, name: 'counting events', count, intervalMs: MEASURE_INTERVAL_MS },
    });
    this.forgetting = new PollingLoop({
      ...settings,
      name: 'forgetting published events',
      round: () => storage.forgetSent().then(() => false),
      interval: FORGET_INTERVAL_MS,
      maxInterval: FORGET_INTERVAL_MS,
    });
  }

  /** At most some seconds old; undefined in every process but one. */
  get numbers(): OutboxNumbers | undefined {
    return this.census.numbers;
  }

  start(): void {
    this.census.start();
    this.forgetting.start();
  }

  async stop(): Promise<void> {
    await Promise.all([this.census.stop(), this.forgetting.stop()]);
  }
}
