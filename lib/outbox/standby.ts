import type { Clock } from '../runtime/clock.js';
import type { Log } from '../runtime/log.js';

/** Whether this process takes a share of the events. */
export interface RelayDuty {
  /** Leaves them to others. @returns false, and nothing is changed, when nobody else relays */
  leave(): Promise<boolean>;
  resume(): Promise<void>;
}

export interface StandbySettings {
  readonly duty: RelayDuty;
  readonly clock: Clock;
  readonly log: Log;
}

const PATIENCE_MS = 10_000;
const REST_MS = 30_000;

/**
 * A process that has reached no destination for ten seconds, as when its own network fails, leaves its share of the events to
 * others for half a minute. The last one that relays stays, so an outage that meets all of them changes little.
 */
export class Standby {
  private until: number | undefined;
  /** When it has come back last: then it may try for a while. */
  private since = -Infinity;

  constructor(private readonly settings: StandbySettings) {}

  /** @param downSince since when no destination was reached, by the monotonic clock */
  async leave(downSince: number): Promise<boolean> {
    const { clock, duty, log } = this.settings;
    const now = clock.monotonic();
    if (now - Math.max(downSince, this.since) < PATIENCE_MS) return false;
    // Asked again after the same time.
    this.since = now;
    if (!(await duty.leave())) return false;
    log.warn('no destination of events was reached for 10 s: others relay for the next 30 s');
    this.until = now + REST_MS;
    return true;
  }

  /** Whether it rests still; ends the rest when its time is up. */
  async rests(): Promise<boolean> {
    if (this.until === undefined) return false;
    const { clock, duty } = this.settings;
    if (clock.monotonic() < this.until) return true;
    await duty.resume();
    this.until = undefined;
    this.since = clock.monotonic();
    return false;
  }
}
