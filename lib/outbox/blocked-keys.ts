import type { BlockedKey, PlacedKey } from './retry-storage.js';

/** Above this many waiting events a shard reads no new ones: the side table is for trouble, not for a backlog. */
const MANY = 10_000;

/** Keys of the owned shards whose events wait behind one that failed, kept in memory: no query per batch. */
export class BlockedKeys {
  private readonly events = new Map<string, number>();
  private readonly byShard = new Map<number, number>();
  private parked = false;

  get any(): boolean {
    return this.events.size > 0;
  }

  /** One of them waits for an operator. */
  get anyParked(): boolean {
    return this.parked;
  }

  has(event: PlacedKey): boolean {
    return this.events.size > 0 && this.events.has(nameOf(event));
  }

  /** Shards with so many waiting events that they take no more. */
  get overfull(): readonly number[] {
    return [...this.byShard].filter(([, events]) => events > MANY).map(([shard]) => shard);
  }

  load(keys: readonly BlockedKey[]): void {
    for (const key of keys) this.add(key, key.events);
    this.parked ||= keys.some(({ parked }) => parked);
  }

  add(event: PlacedKey, count = 1): void {
    const name = nameOf(event);
    this.events.set(name, (this.events.get(name) ?? 0) + count);
    this.byShard.set(event.shard, (this.byShard.get(event.shard) ?? 0) + count);
  }

  /** From now on one of them waits for an operator. */
  park(): void {
    this.parked = true;
  }

  /** One of its events is gone: with the last one the key is free. */
  remove(event: PlacedKey): void {
    const name = nameOf(event);
    const left = (this.events.get(name) ?? 0) - 1;
    if (left > 0) this.events.set(name, left);
    else this.events.delete(name);
    this.byShard.set(event.shard, Math.max(0, (this.byShard.get(event.shard) ?? 0) - 1));
  }

  /** Nothing of these shards is known any more. */
  forget(): void {
    this.events.clear();
    this.byShard.clear();
    this.parked = false;
  }
}

function nameOf({ shard, destination, key }: PlacedKey): string {
  return `${shard} ${destination} ${key}`;
}
