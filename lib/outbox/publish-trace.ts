import { isSampled } from '../runtime/trace-parent.js';
import type { OpenSpan, TraceHeaders, Tracing } from '../runtime/tracing.js';
import type { Publishable, PublishedGroup } from './publisher.js';

interface Traced<E> {
  readonly event: E;
  readonly span: OpenSpan;
}

/**
 * The spans of one batch: one for each event that belongs to a recorded trace, under what wrote it. Its consumers hang under
 * it in their turn, so it is published with headers of its own; what is stored stays as it was written.
 */
export class PublishTrace<E extends Publishable> {
  readonly events: readonly E[];
  private readonly traced = new Map<E, Traced<E>>();

  constructor(
    private readonly tracing: Tracing,
    events: readonly E[],
  ) {
    this.events = tracing.on ? events.map((event) => this.begin(event)) : events;
  }

  /** @returns the same with the events as they were given */
  end(groups: readonly PublishedGroup<E>[]): readonly PublishedGroup<E>[] {
    if (this.traced.size === 0) return groups;
    return groups.map((group) => ({
      ...group,
      events: group.events.map((sent, n) => this.endOf(sent, group, n)),
    }));
  }

  private begin(event: E): E {
    if (!isSampled(event.headers)) return event;
    const own = JSON.parse(event.headers) as TraceHeaders;
    const span = this.tracing.begin({
      name: 'outbox publish',
      kind: 'producer',
      parent: own,
      attributes: {
        'messaging.destination.name': event.destination,
        'messaging.message.id': event.eventId,
        'sagaz.event.type': event.type,
      },
    });
    const sent = { ...event, headers: JSON.stringify({ ...own, ...span.headers }) };
    this.traced.set(sent, { event, span });
    return sent;
  }

  private endOf(sent: E, { outcomes, outage }: PublishedGroup<E>, index: number): E {
    const traced = this.traced.get(sent);
    if (!traced) return sent;
    const outcome = outcomes[index];
    if (outcome?.status === 'ok') traced.span.end();
    else traced.span.end(new Error(outage ?? outcome?.reason ?? 'no answer in time'));
    return traced.event;
  }
}
