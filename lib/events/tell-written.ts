import { groupBy } from '../runtime/group-by.js';
import type { Telemetry } from '../runtime/telemetry.js';
import type { OutboxRecord } from './outbox-event.js';

/** Tells of events that were committed, once for each destination. */
export function tellWritten(telemetry: Telemetry, events: readonly OutboxRecord[]): void {
  for (const [destination, { length: count }] of groupBy(events, (event) => event.destination))
    telemetry.emit('outbox.written', () => ({ destination, count }));
}
