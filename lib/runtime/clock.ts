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

/** The clock of the machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  delay: (ms, signal) => sleep(ms, undefined, signal && { signal }).catch(() => undefined),
};
