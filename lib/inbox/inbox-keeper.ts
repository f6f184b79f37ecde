import type { Clock } from '../runtime/clock.js';
import type { Log } from '../runtime/log.js';
import { PollingLoop } from '../runtime/polling-loop.js';
import type { BarrierStorage } from './barrier-storage.js';
import type { InboxStorage } from './inbox-storage.js';

export interface InboxKeeperSettings {
  readonly inbox: InboxStorage;
  readonly barrier: BarrierStorage;
  readonly windowMs: number;
  readonly barrierRetentionMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

const INTERVAL_MS = 30_000;
/** Rows deleted by one statement: short enough to be in nobody's way. */
const BATCH = 1_000;

/** Forgets what consumers and participants need not remember any more. In every process: one that only consumes has no worker. */
export class InboxKeeper {
  private readonly loop: PollingLoop;

  constructor(private readonly settings: InboxKeeperSettings) {
    this.loop = new PollingLoop({
      ...settings,
      name: 'forgetting processed messages',
      round: () => this.forget(),
      interval: INTERVAL_MS,
      maxInterval: INTERVAL_MS,
    });
  }

  start(): void {
    this.loop.start();
  }

  stop(): Promise<void> {
    return this.loop.stop();
  }

  private async forget(): Promise<boolean> {
    const { inbox, barrier, windowMs, barrierRetentionMs } = this.settings;
    const messages = await inbox.forget(windowMs, BATCH);
    const commands = await barrier.forget(barrierRetentionMs, BATCH);
    return messages === BATCH || commands === BATCH;
  }
}
