import type { PublishItem, PublishOutcome } from '../events/publish.js';
import type { Clock } from '../runtime/clock.js';
import { errorText } from '../runtime/error-text.js';
import type { PendingEvent } from './outbox-storage.js';

/** Where events of one destination go: a broker, by shape. */
export interface Destination {
  publish(batch: readonly PublishItem[], signal: AbortSignal): Promise<readonly PublishOutcome[]>;
}

/** Hands batches to their destinations and finds out what became of each event. Never throws. */
export class Publisher {
  constructor(
    private readonly destinations: ReadonlyMap<string, Destination>,
    private readonly timeoutMs: number,
    private readonly clock: Clock,
  ) {}

  /** One outcome per event; destinations do not wait for each other. */
  async publish(events: readonly PendingEvent[]): Promise<ReadonlyMap<PendingEvent, PublishOutcome>> {
    const groups = new Map<string, PendingEvent[]>();
    for (const event of events)
      groups.set(event.destination, [...(groups.get(event.destination) ?? []), event]);
    const parts = await Promise.all([...groups].map(([name, group]) => this.publishTo(name, group)));
    return new Map(parts.flat());
  }

  private async publishTo(
    name: string,
    group: readonly PendingEvent[],
  ): Promise<(readonly [PendingEvent, PublishOutcome])[]> {
    const outcomes = await this.outcomes(name, group.map(toItem));
    const missing = { status: 'retryable', reason: 'the broker gave no outcome for this event' } as const;
    return group.map((event, index) => [event, outcomes[index] ?? missing]);
  }

  private async outcomes(name: string, items: readonly PublishItem[]): Promise<readonly PublishOutcome[]> {
    const destination = this.destinations.get(name);
    const all = (reason: string) => items.map(() => ({ status: 'retryable', reason }) as const);
    if (!destination) return all(`no broker is named "${name}" in this process`);
    const limit = new AbortController();
    const done = new AbortController();
    const expiry = this.clock.delay(this.timeoutMs, done.signal).then(() => {
      if (!done.signal.aborted) limit.abort();
      return all(`no answer within ${this.timeoutMs} ms`);
    });
    try {
      return await Promise.race([destination.publish(items, limit.signal), expiry]);
    } catch (error) {
      return all(errorText(error));
    } finally {
      done.abort();
    }
  }
}

function toItem({ eventId, type, key, payload, headers, createdAt }: PendingEvent): PublishItem {
  const own = JSON.parse(headers) as Record<string, string>;
  return {
    eventId,
    type,
    key,
    payload,
    headers: { ...own, id: eventId, type, key, occurredAt: createdAt.toISOString() },
  };
}
