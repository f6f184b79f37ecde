import type { Clock } from '../runtime/clock.js';

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;

/** Shards whose last batch could not be published, and until when they rest: longer after each failure in a row. */
export class ShardPauses {
  private readonly pauses = new Map<number, { readonly until: number; readonly failures: number }>();

  constructor(private readonly clock: Clock) {}

  /** Shards that rest now. */
  current(): ReadonlySet<number> {
    const now = this.clock.monotonic();
    return new Set([...this.pauses].filter(([, { until }]) => until > now).map(([shard]) => shard));
  }

  /** @returns how many failures in a row the shard has had */
  add(shard: number): number {
    const failures = (this.pauses.get(shard)?.failures ?? 0) + 1;
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failures - 1));
    this.pauses.set(shard, { until: this.clock.monotonic() + pause, failures });
    return failures;
  }

  clear(shard: number): void {
    this.pauses.delete(shard);
  }
}
