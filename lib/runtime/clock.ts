/** Time as the engine sees it. Injected, so that tests decide when time passes. */
export interface Clock {
  /** Wall clock in milliseconds since the epoch. For people and logs, never for leases. */
  now(): number;
  /** Milliseconds of a clock that never goes back. For deadlines inside this process. */
  monotonic(): number;
  /** Calls back once, after `ms`. @returns a function that calls it off */
  after(ms: number, callback: () => void): () => void;
  /** Resolves after `ms`, or at once when the signal aborts; never rejects. */
  delay(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Node's timers fire at once beyond 31 bits of milliseconds. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The clock of the machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, callback) {
    if (ms > LONGEST_TIMER_MS) return afterLong(ms, callback);
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
  delay(ms, signal) {
    if (!(ms > 0) || signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const end = () => {
        cancel();
        signal?.removeEventListener('abort', end);
        resolve();
      };
      const cancel = this.after(ms, end);
      signal?.addEventListener('abort', end, { once: true });
    });
  },
};

/** One timer after the other. */
function afterLong(ms: number, callback: () => void): () => void {
  const end = performance.now() + ms;
  let timer: NodeJS.Timeout;
  const wait = () => {
    const left = end - performance.now();
    timer = left > 0 ? setTimeout(wait, Math.min(left, LONGEST_TIMER_MS)) : setTimeout(callback, 0);
  };
  wait();
  return () => clearTimeout(timer);
}
