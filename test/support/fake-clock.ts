import type { Clock } from '../../lib/runtime/clock.js';

interface Timer {
  readonly due: number;
  readonly fire: () => void;
}

/** Lets everything happen that needs no time. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Whether a promise is still open when everything has happened that needs no time. */
export async function isPending(work: Promise<unknown>): Promise<boolean> {
  let over = false;
  const end = () => {
    over = true;
  };
  work.then(end, end);
  await settled();
  return !over;
}

/** Time that passes only when a test says so. */
export class FakeClock implements Clock {
  private elapsed = 0;
  private readonly timers = new Set<Timer>();

  constructor(private readonly startedAt = Date.UTC(2026, 0, 1)) {}

  now(): number {
    return this.startedAt + this.elapsed;
  }

  monotonic(): number {
    return this.elapsed;
  }

  after(ms: number, callback: () => void): () => void {
    const fire = () => {
      this.timers.delete(timer);
      callback();
    };
    const timer: Timer = { due: this.elapsed + Math.max(0, ms), fire };
    this.timers.add(timer);
    return () => void this.timers.delete(timer);
  }

  delay(ms: number, signal?: AbortSignal): Promise<void> {
    if (ms <= 0 || signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const end = () => {
        this.timers.delete(timer);
        signal?.removeEventListener('abort', end);
        resolve();
      };
      const timer: Timer = { due: this.elapsed + ms, fire: end };
      this.timers.add(timer);
      signal?.addEventListener('abort', end, { once: true });
    });
  }

  /** Time passes in which nothing else can happen: what is due comes behind. */
  block(ms: number): void {
    this.elapsed += ms;
  }

  /** Milliseconds until each pause that is being waited for ends, the nearest first. */
  get waiting(): readonly number[] {
    return [...this.timers].map(({ due }) => due - this.elapsed).sort((a, b) => a - b);
  }

  /** Lets time pass. Pauses end in their order, and what they set going happens at its moment. */
  async advance(ms: number): Promise<void> {
    const end = this.elapsed + ms;
    await settled();
    for (let next = this.next(); next && next.due <= end; next = this.next()) {
      this.elapsed = Math.max(this.elapsed, next.due);
      next.fire();
      await settled();
    }
    this.elapsed = end;
  }

  /** Lets time pass from pause to pause until the work has ended; fails when nothing is waited for any more. */
  async until<T>(work: Promise<T>): Promise<T> {
    let over = false;
    const end = () => {
      over = true;
    };
    work.then(end, end);
    for (;;) {
      await settled();
      if (over) return work;
      const next = this.next();
      if (!next) throw new Error('it would wait for ever: nothing is under way and no pause is left');
      this.elapsed = Math.max(this.elapsed, next.due);
      next.fire();
    }
  }

  private next(): Timer | undefined {
    return [...this.timers].sort((a, b) => a.due - b.due)[0];
  }
}
