import type { PublishItem, PublishOutcome } from '../events/publish.js';
import type { Clock } from '../runtime/clock.js';
import { errorText } from '../runtime/error-text.js';
import { groupBy } from '../runtime/group-by.js';
import type { PendingEvent } from './outbox-storage.js';

/** Where events of one destination go: a broker, by shape. */
export interface Destination {
  publish(batch: readonly PublishItem[], signal: AbortSignal): Promise<readonly PublishOutcome[]>;
}

/** How long, and at most a tenth of the outer limit, a broker may take after the time-out to say which events it took before it. */
const PARTIAL_GRACE_MS = 500;

interface Time {
  readonly ms: number;
  readonly graceMs: number;
}

/** Hands batches to their destinations and finds out what became of each event. Never throws. */
export class Publisher {
  constructor(
    private readonly destinations: ReadonlyMap<string, Destination>,
    private readonly timeoutMs: number,
    private readonly clock: Clock,
  ) {}

  /**
   * One outcome per event; destinations do not wait for each other.
   * @param limitMs the most time there is, such as what is left of a lease
   */
  async publish(
    events: readonly PendingEvent[],
    limitMs = Infinity,
  ): Promise<ReadonlyMap<PendingEvent, PublishOutcome>> {
    const groups = groupBy(events, ({ destination }) => destination);
    const time = { ms: Math.min(this.timeoutMs, limitMs), graceMs: Math.min(PARTIAL_GRACE_MS, limitMs / 10) };
    const parts = await Promise.all([...groups].map(([name, group]) => this.publishTo(name, group, time)));
    return new Map(parts.flat());
  }

  private async publishTo(
    name: string,
    group: readonly PendingEvent[],
    time: Time,
  ): Promise<(readonly [PendingEvent, PublishOutcome])[]> {
    const { outcomes, reason } = await this.outcomes(name, group, time).catch((error: unknown) => {
      return { outcomes: [], reason: errorText(error) };
    });
    return group.map((event, index) => [event, outcomes[index] ?? { status: 'retryable', reason }]);
  }

  /** @returns the outcomes, and the reason of those that are missing */
  private async outcomes(name: string, group: readonly PendingEvent[], { ms, graceMs }: Time) {
    const destination = this.destinations.get(name);
    if (!destination) return { outcomes: [], reason: `no broker is named "${name}" in this process` };
    const limit = new AbortController();
    const done = new AbortController();
    const work = destination.publish(
      group.map((event) => new OutboxItem(event)),
      limit.signal,
    );
    const expiry = this.clock.delay(ms, done.signal).then(async () => {
      if (!done.signal.aborted) limit.abort();
      await this.clock.delay(graceMs, done.signal);
      return undefined;
    });
    try {
      const outcomes = (await Promise.race([work, expiry])) ?? [];
      const reason = limit.signal.aborted
        ? `no answer within ${ms} ms`
        : 'the broker gave no outcome for this event';
      return { outcomes, reason };
    } finally {
      done.abort();
      work.catch(() => undefined);
    }
  }
}

/** Headers are put together when a broker asks for them. */
class OutboxItem implements PublishItem {
  readonly eventId: string;
  readonly type: string;
  readonly key: string;
  readonly payload: string;
  readonly #event: PendingEvent;

  constructor(event: PendingEvent) {
    this.#event = event;
    this.eventId = event.eventId;
    this.type = event.type;
    this.key = event.key;
    this.payload = event.payload;
  }

  get headers(): Readonly<Record<string, string>> {
    const { eventId: id, type, key, headers, createdMs } = this.#event;
    const own = JSON.parse(headers) as Record<string, string>;
    return { ...own, id, type, key, occurredAt: new Date(createdMs).toISOString() };
  }
}
