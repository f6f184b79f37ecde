import type { Clock } from './clock.js';

/** Waits for the work, at most `ms`. @returns false when the time ran out first */
export async function within(clock: Clock, ms: number, work: Promise<unknown>): Promise<boolean> {
  const timer = new AbortController();
  const expired = clock.delay(ms, timer.signal).then(() => false);
  try {
    return await Promise.race([work.then(() => true), expired]);
  } finally {
    timer.abort();
  }
}
