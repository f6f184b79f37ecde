import type { OutboxRecord } from '../../events/outbox-event.js';

/** Events as the arrays that `eventsFrom` takes. */
export function eventArrays(events: readonly OutboxRecord[]): unknown[] {
  return [
    events.map(({ shard }) => shard),
    events.map(({ eventId }) => eventId),
    events.map(({ destination }) => destination),
    events.map(({ type }) => type),
    events.map(({ key }) => key),
    events.map(({ aggregateType }) => aggregateType),
    events.map(({ aggregateId }) => aggregateId),
    events.map(({ payload }) => payload),
    events.map(({ headers }) => headers),
  ];
}
