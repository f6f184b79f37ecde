import { setTimeout as sleep } from 'node:timers/promises';

/** Time as the engine sees it. Injected, so that tests decide when time passes. */
export interface Clock {
  /** Wall clock in milliseconds since the epoch. For people and logs, never for leases. */
  now(): number;
  /** Milliseconds of a clock that never goes back. For deadlines inside this process. */
  monotonic(): number;
  /** Resolves after `ms`, or at once when the signal aborts; never rejects. */
  delay(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Node's timers fire at once beyond 31 bits of milliseconds. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The clock of the machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  async delay(ms, signal) {
    const end = performance.now() + ms;
    for (let left = ms; left > 0 && !signal?.aborted; left = end - performance.now()) {
      await sleep(Math.min(left, LONGEST_TIMER_MS), undefined, signal && { signal }).catch(() => undefined);
    }
  },
};
