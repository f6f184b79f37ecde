import type { Clock } from './clock.js';
import { errorText } from './error-text.js';
import type { Log } from './log.js';

export interface PollingLoopOptions {
  /** Named in the log line of a failed round. */
  readonly name: string;
  /** One round; true when there was work and the next round should follow at once. */
  readonly round: () => Promise<boolean>;
  /** Pause in milliseconds after a round without work; doubles while there is none. */
  readonly interval: number;
  /** The longest pause in milliseconds; also the pause after a failed round. */
  readonly maxInterval: number;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Calls a round again and again: at once while there is work, after a growing pause while there is none.
 * A round that throws is logged (once per streak of equal messages) and tried again.
 */
export class PollingLoop {
  private stopping = new AbortController();
  private waker = new AbortController();
  private running: Promise<void> | undefined;
  private lastError: string | undefined;

  constructor(private readonly options: PollingLoopOptions) {}

  start(): void {
    if (this.running) return;
    this.stopping = new AbortController();
    this.running = this.loop();
  }

  /** Ends the current pause. */
  wake(): void {
    this.waker.abort();
  }

  /** Resolves when the round in progress has ended; no other follows. */
  async stop(): Promise<void> {
    this.stopping.abort();
    this.waker.abort();
    await this.running;
    this.running = undefined;
  }

  private async loop(): Promise<void> {
    const { interval, maxInterval, clock } = this.options;
    let pause = 0;
    while (!this.stopping.signal.aborted) {
      this.waker = new AbortController();
      const busy = await this.safeRound();
      pause =
        busy === undefined ? maxInterval : busy ? 0 : Math.min(Math.max(pause * 2, interval), maxInterval);
      if (busy !== true && !this.stopping.signal.aborted) {
        await clock.delay(pause, this.waker.signal);
        if (this.waker.signal.aborted) pause = 0;
      }
    }
  }

  private async safeRound(): Promise<boolean | undefined> {
    try {
      const busy = await this.options.round();
      this.lastError = undefined;
      return busy;
    } catch (error) {
      const text = errorText(error);
      if (text !== this.lastError)
        this.options.log.warn(`${this.options.name} failed, trying again: ${text}`);
      this.lastError = text;
      return undefined;
    }
  }
}
