import type { Clock } from '../../runtime/clock.js';
import {
  InboxStorage,
  type InboxMessage,
  type InboxResult,
  type InboxRules,
} from '../../inbox/inbox-storage.js';

const DAY_MS = 86_400_000;

/** Processed messages in memory: for tests and first steps. What a failing handler has changed is not taken back. */
export class MemoryInboxStorage extends InboxStorage<undefined> {
  /** When they were written. */
  private readonly processed = new Map<string, number>();
  private readonly processing = new Set<string>();
  private readonly failures = new Map<string, number>();

  constructor(private readonly clock: Clock) {
    super();
  }

  async process<T>(
    message: InboxMessage,
    { windowMs, processesExpired }: InboxRules,
    work: (tx: undefined) => Promise<T>,
  ): Promise<InboxResult<T>> {
    const name = nameOf(message);
    if (this.processed.has(name)) return { status: 'duplicate' };
    if (this.processing.has(name)) return { status: 'busy' };
    const stamp = message.stamp?.getTime() ?? this.clock.now();
    const oldest = this.clock.now() - windowMs;
    if (!processesExpired && stamp < oldest) return { status: 'expired' };
    this.processing.add(name);
    try {
      const value = await work(undefined);
      this.processed.set(name, Math.max(stamp, oldest));
      this.failures.delete(name);
      return { status: 'processed', value };
    } finally {
      this.processing.delete(name);
    }
  }

  currentTransaction(): undefined {
    return undefined;
  }

  fail(message: InboxMessage): Promise<number> {
    const failures = (this.failures.get(nameOf(message)) ?? 0) + 1;
    this.failures.set(nameOf(message), failures);
    return Promise.resolve(failures);
  }

  forget(windowMs: number, limit: number): Promise<number> {
    const before = this.clock.now() - windowMs - DAY_MS;
    const old = [...this.processed].filter(([, stamp]) => stamp < before).slice(0, limit);
    for (const [name] of old) this.processed.delete(name);
    return Promise.resolve(old.length);
  }
}

function nameOf({ consumer, messageId }: InboxMessage): string {
  return JSON.stringify([consumer, messageId]);
}
