/** Pauses that grow. */
export interface BackOff {
  /** Milliseconds after the first failure. */
  readonly initialInterval: number;
  readonly multiplier: number;
  /** The longest pause, in milliseconds. */
  readonly maxInterval: number;
  readonly jitter: 'full' | 'none';
}

/** Before an event whose handler has failed is delivered again. */
export const REDELIVERY: BackOff = {
  initialInterval: 200,
  multiplier: 2,
  maxInterval: 5_000,
  jitter: 'none',
};

/** More than any pause needs, and small enough not to become infinite. */
const MAX_DOUBLINGS = 60;

/**
 * Milliseconds to wait after the n-th failure: with full jitter a uniform random part of
 * min(maxInterval, initialInterval * multiplier^(n-1)), after Marc Brooker, "Exponential Backoff And Jitter" (AWS
 * Architecture Blog, 2015).
 */
export function backOffMs(
  { initialInterval, multiplier, maxInterval, jitter }: BackOff,
  failures: number,
  random: () => number = Math.random,
): number {
  const growth = multiplier ** Math.min(failures - 1, MAX_DOUBLINGS);
  const pause = Math.min(maxInterval, initialInterval * growth);
  return jitter === 'full' ? Math.round(random() * pause) : pause;
}
