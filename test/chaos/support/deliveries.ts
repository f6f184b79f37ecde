import type { ChaosWorld } from './chaos-world.js';
import { COUNTER_TABLE } from './producers.js';

export const DELIVERY_TABLE =
  'CREATE TABLE delivery (place bigint GENERATED ALWAYS AS IDENTITY, event_id uuid, key text, n int, worker text)';

/** Where producers note what they committed, and relays what they delivered. */
export async function prepareDeliveries(world: ChaosWorld): Promise<void> {
  await world.query(COUNTER_TABLE);
  await world.query('CREATE TABLE committed (key text NOT NULL, n int NOT NULL, event_id uuid NOT NULL)');
  await world.query(DELIVERY_TABLE, world.ledgerUrl);
}

export interface Event {
  readonly event_id: string;
  readonly key: string;
  readonly n: number;
}

/** First deliveries of a key that came before one with a smaller number. */
function inversions(deliveries: readonly Event[]): readonly string[] {
  const seen = new Set<string>();
  const last = new Map<string, number>();
  const found: string[] = [];
  for (const { event_id, key, n } of deliveries) {
    if (seen.has(event_id)) continue;
    seen.add(event_id);
    if (n < (last.get(key) ?? -1)) found.push(`${key}: ${n} after ${last.get(key)}`);
    last.set(key, n);
  }
  return found;
}

/** I7 and I8: what was lost, what should not have come, and what overtook an earlier one of its key. */
export async function compareDeliveries(world: ChaosWorld) {
  const committed = await world.query<Event>('SELECT event_id, key, n FROM committed');
  const deliveries = await world.query<Event>(
    'SELECT event_id, key, n FROM delivery ORDER BY place',
    world.ledgerUrl,
  );
  const delivered = new Set(deliveries.map(({ event_id }) => event_id));
  const known = new Set(committed.map(({ event_id }) => event_id));
  return {
    committed,
    deliveries,
    lost: [...known].filter((id) => !delivered.has(id)),
    uncommitted: [...delivered].filter((id) => !known.has(id)),
    inversions: inversions(deliveries),
  };
}
