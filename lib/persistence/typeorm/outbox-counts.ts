import { SHARD_COUNT } from '../../events/shard.js';
import type { OutboxNumbers } from '../../outbox/outbox-storage.js';

/** Nothing is counted further than this. */
export const MOST_COUNTED = 100_000;

export interface PendingCount {
  readonly shard: number;
  readonly destination: string;
  readonly count: number;
  readonly ageMs: number;
}

export interface TroubleCount {
  readonly destination: string;
  readonly count: number;
  readonly kind: 'retrying' | 'dead';
}

type Count = (shards: readonly number[], limits: readonly number[]) => Promise<readonly PendingCount[]>;

/**
 * Counts every shard up to its share of what may be counted; those that have more share what the others have left, so that
 * one long shard is counted as far as many short ones.
 */
export async function countPending(count: Count): Promise<readonly PendingCount[]> {
  const share = Math.floor(MOST_COUNTED / SHARD_COUNT);
  const shards = Array.from({ length: SHARD_COUNT }, (_, shard) => shard);
  const found = await count(
    shards,
    shards.map(() => share),
  );
  const lag = sumBy(found, ({ shard }) => shard);
  const long = shards.filter((shard) => lag.get(shard) === share);
  const left = MOST_COUNTED - [...lag.values()].reduce((sum, n) => sum + n, 0);
  const more = Math.floor(left / Math.max(1, long.length));
  if (long.length === 0 || more === 0) return found;
  const again = await count(
    long,
    long.map(() => share + more),
  );
  return [...found.filter(({ shard }) => !long.includes(shard)), ...again];
}

export function sumPending(
  found: readonly PendingCount[],
): Pick<OutboxNumbers, 'pending' | 'oldestAgeMs' | 'lag'> {
  const oldestAgeMs = new Map<string, number>();
  for (const { destination, ageMs } of found)
    oldestAgeMs.set(destination, Math.max(ageMs, oldestAgeMs.get(destination) ?? 0));
  return {
    pending: sumBy(found, ({ destination }) => destination),
    oldestAgeMs,
    lag: sumBy(found, ({ shard }) => shard),
  };
}

export function sumTrouble(found: readonly TroubleCount[]): Pick<OutboxNumbers, 'retrying' | 'dead'> {
  const of = (kind: TroubleCount['kind']) =>
    sumBy(
      found.filter((it) => it.kind === kind),
      ({ destination }) => destination,
    );
  return { retrying: of('retrying'), dead: of('dead') };
}

function sumBy<T extends { readonly count: number }, K>(
  found: readonly T[],
  key: (count: T) => K,
): Map<K, number> {
  const sums = new Map<K, number>();
  for (const it of found) sums.set(key(it), (sums.get(key(it)) ?? 0) + it.count);
  return sums;
}
