/** Virtual shards of the outbox. The number is kept in the database; every process must use the same. */
export const SHARD_COUNT = 16;

/** The shard of an ordering key: FNV-1a (32 bit) over its UTF-8 bytes. Never change it: order per key depends on it. */
export function shardOf(key: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(key, 'utf8')) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash % SHARD_COUNT;
}
