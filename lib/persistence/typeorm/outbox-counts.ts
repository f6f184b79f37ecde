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

const SHARE = Math.floor(MOST_COUNTED / SHARD_COUNT);
const SHARDS: readonly number[] = Array.from({ length: SHARD_COUNT }, (_, shard) => shard);

type Count = (shards: readonly number[], limits: readonly number[]) => Promise<readonly PendingCount[]>;

/**
 * Counts every shard up to its share of what may be counted; those that have more share what the others have left, so that
 * one long shard is counted as far as many short ones.
 */
export async function countPending(count: Count): Promise<readonly PendingCount[]> {
  const found = await count(
    SHARDS,
    SHARDS.map(() => SHARE),
  );
  const { long, limit } = longShards(sumBy(found, ({ shard }) => shard));
  if (long.length === 0 || limit === SHARE) return found;
  const again = await count(
    long,
    long.map(() => limit),
  );
  return [...found.filter(({ shard }) => !long.includes(shard)), ...again];
}

/** Whether a shard may have more pending events than were counted. */
export function isPendingCut(lag: OutboxNumbers['lag']): boolean {
  const { long, limit } = longShards(lag);
  return long.some((shard) => (lag.get(shard) ?? 0) >= limit);
}

/** The shards that have their share or more, and how far each of them is counted. */
function longShards(lag: OutboxNumbers['lag']): { readonly long: readonly number[]; readonly limit: number } {
  const long = SHARDS.filter((shard) => (lag.get(shard) ?? 0) >= SHARE);
  const counted = [...lag.values()].reduce((sum, n) => sum + Math.min(n, SHARE), 0);
  return { long, limit: SHARE + Math.floor((MOST_COUNTED - counted) / Math.max(1, long.length)) };
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
