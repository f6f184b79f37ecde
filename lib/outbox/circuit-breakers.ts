import type { Clock } from '../runtime/clock.js';
import { backOffMs, type BackOff } from '../runtime/back-off.js';

const PAUSES: BackOff = { initialInterval: 100, multiplier: 2, maxInterval: 5_000, jitter: 'none' };
const IDLE_MS = 10_000;

interface Circuit {
  readonly until: number;
  readonly failures: number;
  /** Of the first of them. */
  readonly since: number;
}

/** Destinations that are down, and until when they are left alone: longer after each failure in a row. */
export class CircuitBreakers {
  private readonly circuits = new Map<string, Circuit>();
  /** Destinations whose pause is over and that were not tried since; with the time at which that was said. */
  private readonly halfOpen = new Map<string, number>();
  private reachedAt = -Infinity;

  constructor(private readonly clock: Clock) {}

  /**
   * Destinations that are not to be tried now. One whose pause is over is among them until `takeHalfOpen` has said so: what
   * was read before that must not overtake what waits.
   */
  get open(): ReadonlySet<string> {
    return new Set([...this.circuits.keys()].filter((name) => !this.halfOpen.has(name)));
  }

  /** Whether the pause of any destination has ended since the last call: what waits for it is to be read again. */
  takeHalfOpen(): boolean {
    const now = this.clock.monotonic();
    const ready = [...this.open].filter((name) => (this.circuits.get(name)?.until ?? now) <= now);
    for (const name of ready) this.halfOpen.set(name, now);
    return ready.length > 0;
  }

  /** Forgets destinations that nothing has waited for since their pause ended: others may have had their events. @returns them */
  takeIdle(): readonly string[] {
    const before = this.clock.monotonic() - IDLE_MS;
    const idle = [...this.halfOpen].filter(([, since]) => since <= before).map(([name]) => name);
    for (const name of idle) {
      this.halfOpen.delete(name);
      this.circuits.delete(name);
    }
    return idle;
  }

  /** @returns how many failures in a row that makes */
  trip(destination: string): number {
    const { failures: before, since = this.clock.monotonic() } = this.circuits.get(destination) ?? {
      failures: 0,
    };
    const failures = before + 1;
    this.halfOpen.delete(destination);
    const until = this.clock.monotonic() + backOffMs(PAUSES, failures);
    this.circuits.set(destination, { until, failures, since });
    return failures;
  }

  /** Since when no destination at all was reached; undefined when none is down. One that was not tried of late does not count. */
  get nothingSince(): number | undefined {
    const { open } = this;
    const since = [...this.circuits].filter(([name]) => open.has(name)).map(([, circuit]) => circuit.since);
    return since.length === 0 ? undefined : Math.max(this.reachedAt, Math.min(...since));
  }

  /** @returns whether it was open before */
  close(destination: string): boolean {
    this.reachedAt = this.clock.monotonic();
    this.halfOpen.delete(destination);
    return this.circuits.delete(destination);
  }
}
