import { randomUUID } from 'node:crypto';
import type { MessageBroker, PublishItem, PublishOutcome } from '../../../lib/index.js';

export interface ItemParts {
  readonly type: string;
  readonly key?: string;
  readonly payload?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An event as the relay hands it to a broker. */
export function itemOf({ type, key = 'order-1', payload = { n: 1 }, headers = {} }: ItemParts): PublishItem {
  const eventId = randomUUID();
  const occurredAt = new Date().toISOString();
  return {
    ...{ eventId, type, key, payload: JSON.stringify(payload) },
    headers: { ...headers, id: eventId, type, key, occurredAt },
  };
}

/** So many events of a type, numbered from 0. */
export function itemsOf(type: string, count: number, keys = 1): PublishItem[] {
  return Array.from({ length: count }, (_, n) => itemOf({ type, key: `key-${n % keys}`, payload: { n } }));
}

/** A limit that does not run out. */
export function patient(): AbortSignal {
  return AbortSignal.timeout(30_000);
}

/** What a broker tells of one event. */
export type Told = PublishOutcome | { readonly status: 'untold'; readonly reason?: string };

/** What a broker tells of each event of a batch, which is nothing of any when it throws. */
export async function told(
  broker: MessageBroker,
  batch: readonly PublishItem[],
  signal = patient(),
): Promise<readonly Told[]> {
  try {
    return (await broker.publish(batch, signal)).map((outcome) => outcome ?? { status: 'untold' });
  } catch (error) {
    return batch.map(() => ({ status: 'untold', reason: (error as Error).message }));
  }
}

export function statuses(outcomes: readonly Told[]): readonly string[] {
  return outcomes.map(({ status }) => status);
}
