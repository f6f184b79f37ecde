import { groupBy } from '../runtime/group-by.js';
import type { PendingEvent, ReadBatch, ReadRequest, ReadSnapshot } from './outbox-storage.js';

/**
 * How far each owned shard has been read.
 *
 * Transactions commit out of the order of their ids, so a position alone would lose rows. Every read therefore also
 * asks for rows behind the position that the previous snapshot could not see. When those late rows of a shard fill the
 * limit, some may be missing: nothing of the shard is taken from that read and it is read again from the lowest
 * pending id, which is always right, because the outbox holds only what is pending.
 */
export class ReadPosition {
  private positions = new Map<number, bigint>();
  private snapshot: ReadSnapshot | undefined;
  /** Shards that had rows in the last read. */
  private busy: ReadonlySet<number> = new Set();
  /** Shards that were read before and are to be read from their lowest pending id again. */
  private readonly setBack = new Set<number>();

  /** New shards are read from their lowest pending id. */
  own(shards: readonly number[]): void {
    this.positions = new Map(shards.map((shard) => [shard, this.positions.get(shard) ?? 0n]));
    for (const shard of this.setBack) if (!this.positions.has(shard)) this.setBack.delete(shard);
  }

  /** A snapshot means nothing on another connection: reads everything that is pending again. */
  forget(): void {
    this.own([]);
    this.snapshot = undefined;
  }

  /** Reads a shard again from its lowest pending id. */
  restart(shard: number): void {
    if (!this.positions.get(shard)) return;
    this.positions.set(shard, 0n);
    this.setBack.add(shard);
  }

  /** Reads every shard again from its lowest pending id. */
  startOver(): void {
    for (const shard of this.positions.keys()) this.restart(shard);
  }

  /**
   * @param paused shards to leave out
   * @param batchSize events of all shards together
   */
  request(paused: ReadonlySet<number>, batchSize: number): ReadRequest {
    // The snapshot of a read tells nothing of shards that it left out.
    for (const shard of paused) this.restart(shard);
    const positions = new Map([...this.positions].filter(([shard]) => !paused.has(shard)));
    const again = [...this.setBack].filter((shard) => positions.has(shard));
    for (const shard of again) this.setBack.delete(shard);
    const fromTheStart = again.length > 0;
    const limits = this.limits([...positions.keys()], batchSize);
    return { positions, previous: this.snapshot, limits, ...(fromTheStart && { fromTheStart }) };
  }

  /**
   * Those that had rows share the batch: a fixed share would drain one hot key at a fraction of the rate. The others get
   * a fixed one, so that a read has never more than two batches, even when all have rows at once.
   */
  private limits(shards: readonly number[], batchSize: number): ReadonlyMap<number, number> {
    const busy = shards.filter((shard) => this.busy.has(shard)).length;
    const share = Math.ceil(batchSize / Math.max(1, busy));
    const fixed = Math.ceil(batchSize / Math.max(1, shards.length));
    return new Map(shards.map((shard) => [shard, this.busy.has(shard) ? share : fixed]));
  }

  /** Takes a batch and moves on. @returns the events to publish now, each shard's in the order of their ids */
  accept(batch: ReadBatch, { limits }: ReadRequest): readonly PendingEvent[] {
    const accepted: PendingEvent[] = [];
    const byShard = groupBy(batch.events, ({ shard }) => shard);
    for (const [shard, events] of byShard) {
      const position = this.positions.get(shard) ?? 0n;
      const late = events.filter(({ id }) => id <= position).length;
      if (late >= (limits.get(shard) ?? 0)) {
        this.restart(shard);
        continue;
      }
      events.sort((a, b) => (a.id < b.id ? -1 : 1));
      accepted.push(...events);
      const last = events.at(-1)?.id ?? 0n;
      if (last > position) this.positions.set(shard, last);
    }
    this.snapshot = batch.snapshot;
    this.busy = new Set(byShard.keys());
    return accepted;
  }
}
