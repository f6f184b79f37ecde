import type { WorkerIdentity } from '../runtime/worker-identity.js';
import type { PendingEvent } from './outbox-storage.js';
import type { SuspectStorage } from './suspect-storage.js';

export interface SuspicionSettings {
  readonly storage: SuspectStorage;
  readonly identity: WorkerIdentity;
  /** Events of a full batch: so many must be survived before a shard is free of suspicion. */
  readonly batchSize: number;
  /** Makes dead letters of events that kill their publishers. */
  readonly bury: (events: readonly PendingEvent[], reason: string) => Promise<void>;
}

/** The one shard that is published from for now, and how many events of it at once. */
export interface Focus {
  readonly shard: number;
  readonly limit: number;
}

/** From this level on nothing is published beside the shard. */
const ALONE = 2;
const FEW = 32;
/** An event that was alone in flight so often when its publisher died has killed it. */
export const DEATHS_ALONE = 3;
export const KILLER = `killer: ${DEATHS_ALONE} publishers died while it was the only event in flight`;

/**
 * Finds an event that kills whoever publishes it. When a worker dies while it publishes, any event of its last batches may
 * be the reason. So the next owner of its shards begins with a full batch (that death may have been an accident), the
 * one after with 32 events of one shard and nothing beside it, and from then on with single ones. An event that was alone
 * in flight three times when its publisher died becomes a dead letter. Whoever survives a full batch has shown that
 * nothing of it kills. A worker that died before it published anything is no reason to suspect an event.
 */
export class Suspicions {
  /** Of owned shards, where it is not zero. */
  private readonly levels = new Map<number, number>();
  private owned: ReadonlySet<number> = new Set();
  /** Events of the shard in focus that were survived. */
  private survived = 0;

  constructor(private readonly settings: SuspicionSettings) {}

  async own(shards: readonly number[]): Promise<void> {
    const gained = shards.filter((shard) => !this.owned.has(shard));
    this.owned = new Set(shards);
    for (const shard of this.levels.keys()) if (!this.owned.has(shard)) this.clear(shard);
    if (gained.length === 0) return;
    const { storage, identity } = this.settings;
    for (const { shard, level } of await storage.suspects(identity.id))
      if (gained.includes(shard)) this.levels.set(shard, level);
  }

  /** After a fault: what is stored is read anew. */
  forget(): void {
    this.levels.clear();
    this.owned = new Set();
    this.survived = 0;
  }

  get any(): boolean {
    return this.levels.size > 0;
  }

  /** The worst first: while it is watched, nothing else is published. */
  get focus(): Focus | undefined {
    let worst: [shard: number, level: number] | undefined;
    for (const [shard, level] of this.levels)
      if (level >= ALONE && level > (worst?.[1] ?? 0)) worst = [shard, level];
    return worst && { shard: worst[0], limit: worst[1] === ALONE ? FEW : 1 };
  }

  /** Just before events are published. @returns those that may be */
  async accuse(events: readonly PendingEvent[]): Promise<readonly PendingEvent[]> {
    const shards = this.among(events);
    if (shards.length === 0) return events;
    const { storage, identity, bury } = this.settings;
    const [event] = events;
    if (this.focus?.limit !== 1 || !event) {
      await storage.accuse(identity.id, shards);
      return events;
    }
    if ((await storage.accuseAlone(identity.id, event)) <= DEATHS_ALONE) return events;
    await bury(events, KILLER);
    return [];
  }

  /** They were published, or at least their publisher has survived it. @param all whether each of them was answered */
  async survive(events: readonly PendingEvent[], all: boolean): Promise<void> {
    const shards = this.among(events);
    if (shards.length === 0) return;
    this.survived += events.length;
    // While a destination does not answer, other shards must not wait for this one.
    if (this.focus && all && this.survived < this.settings.batchSize) return;
    await this.acquit(shards);
  }

  /** Nothing of the shard in focus is pending. */
  async acquit(shards: readonly number[]): Promise<void> {
    for (const shard of shards) this.clear(shard);
    const { storage, identity } = this.settings;
    await storage.acquit(identity.id, shards);
  }

  private among(events: readonly PendingEvent[]): readonly number[] {
    if (this.levels.size === 0) return [];
    return [...new Set(events.map(({ shard }) => shard))].filter((shard) => this.levels.has(shard));
  }

  private clear(shard: number): void {
    this.levels.delete(shard);
    this.survived = 0;
  }
}
