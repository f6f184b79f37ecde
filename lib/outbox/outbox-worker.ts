import type { PublishOutcome } from '../events/publish.js';
import type { Clock } from '../runtime/clock.js';
import type { Log } from '../runtime/log.js';
import { PollingLoop } from '../runtime/polling-loop.js';
import type { WorkerIdentity } from '../runtime/worker-identity.js';
import type { OutboxReader, OutboxStorage, PendingEvent, ReadBatch, ReadRequest } from './outbox-storage.js';
import type { Publisher } from './publisher.js';
import { ReadPosition } from './read-position.js';
import { ShardPauses } from './shard-pauses.js';

export interface OutboxWorkerSettings {
  readonly identity: WorkerIdentity;
  readonly leaseMs: number;
  readonly storage: OutboxStorage;
  readonly publisher: Publisher;
  /** Events per read, all shards together. */
  readonly batchSize: number;
  readonly pollIntervalMs: number;
  readonly maxPollIntervalMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

const LEASE_INTERVAL_MS = 1_000;
const LEASE_LOST = 'the lease of this worker has run out';
const FAILURES_UNTIL_WARNING = 4;

/** A read that was begun while the batch before it was on its way. */
interface ReadAhead {
  readonly request: ReadRequest;
  readonly read: Promise<ReadBatch>;
}

/**
 * The relay: leases shards, reads their events in order, publishes a batch, removes what the broker took, reads on.
 * One relay per shard gives order per key. No transaction is open while publishing. The next batch is read while one is
 * published, and that one is removed while the next one is published; but a batch goes out only when everything is known
 * of the one before. An event that could not be published stays where it is; its shard pauses and is then read again from
 * there, when nothing of it is on its way any more.
 */
export class OutboxWorker {
  private readonly loop: PollingLoop;
  private readonly position = new ReadPosition();
  private readonly pauses: ShardPauses;
  private reader: OutboxReader | undefined;
  private ahead: ReadAhead | undefined;
  /** The removal of the last batch. */
  private removing: Promise<void> = Promise.resolve();
  private leaseAt = -Infinity;
  /** Halved when nothing of a batch was taken, so that a slow destination gets on; doubled when something was. */
  private batchSize: number;

  constructor(private readonly settings: OutboxWorkerSettings) {
    this.batchSize = settings.batchSize;
    this.pauses = new ShardPauses(settings.clock);
    this.loop = new PollingLoop({
      ...settings,
      name: 'relaying events',
      round: () => this.round(),
      interval: settings.pollIntervalMs,
      maxInterval: settings.maxPollIntervalMs,
    });
  }

  start(): void {
    this.loop.start();
  }

  /** Looks for events at once: called in the process that has just written some. */
  wake(): void {
    this.loop.wake();
  }

  /** Finishes the batch in flight and gives the shards back. */
  async stop(): Promise<void> {
    await this.loop.stop();
    await this.closeReader();
    await this.settings.storage.releaseShards(this.settings.identity.id);
  }

  private async round(): Promise<boolean> {
    try {
      if (this.settings.identity.remainingMs() <= 0) throw new Error(LEASE_LOST);
      await this.lease();
      return await this.relay();
    } catch (error) {
      this.leaseAt = -Infinity;
      await this.closeReader();
      throw error;
    }
  }

  /** When nothing is on its way: a shard may go to somebody else now, who reads it from its lowest pending id. */
  private async lease(): Promise<void> {
    const { clock, storage, identity, leaseMs } = this.settings;
    if (clock.monotonic() < this.leaseAt) return;
    await this.settle();
    this.position.own(await storage.leaseShards(identity.id));
    this.leaseAt = clock.monotonic() + Math.min(LEASE_INTERVAL_MS, leaseMs / 5);
  }

  private async relay(): Promise<boolean> {
    const ahead = this.ahead ?? (await this.beginRead());
    this.ahead = undefined;
    if (!ahead) return false;
    const events = this.position.accept(await ahead.read, ahead.request);
    if (events.length === 0) return false;
    this.ahead = await this.beginRead();
    const outcomes = await this.publish(events);
    const taken = events.filter((event) => outcomes.get(event)?.status === 'ok');
    await this.remove(taken);
    const { batchSize } = this.settings;
    this.batchSize =
      taken.length === 0 ? Math.ceil(this.batchSize / 2) : Math.min(batchSize, this.batchSize * 2);
    if (taken.length < events.length) await this.settle();
    this.holdBack(outcomes);
    return taken.length > 0;
  }

  private async beginRead(): Promise<ReadAhead | undefined> {
    const request = this.position.request(this.pauses.current(), this.batchSize);
    if (request.positions.size === 0) return undefined;
    // From the lowest pending id on: what was published must not be pending any more.
    if (request.fromTheStart) await this.removing;
    this.reader ??= await this.settings.storage.openReader();
    const read = this.reader.read(request);
    read.catch(() => undefined);
    return { request, read };
  }

  private publish(events: readonly PendingEvent[]): Promise<ReadonlyMap<PendingEvent, PublishOutcome>> {
    const { identity, publisher } = this.settings;
    const remainingMs = identity.remainingMs();
    // Whoever has lost the lease while it was reading publishes nothing more: another may have begun to.
    if (remainingMs <= 0) throw new Error(LEASE_LOST);
    return publisher.publish(events, remainingMs);
  }

  /** One removal at a time; resolves when the one before has ended. */
  private async remove(taken: readonly PendingEvent[]): Promise<void> {
    await this.removing;
    this.removing = this.settings.storage.remove(taken);
    this.removing.catch(() => undefined);
  }

  /** Until nothing is on its way. What was read ahead is read again. */
  private async settle(): Promise<void> {
    const { ahead } = this;
    this.ahead = undefined;
    await ahead?.read;
    await this.removing;
  }

  /** Rests the shards that had a failure, and ends the rest of those that had none. */
  private holdBack(outcomes: ReadonlyMap<PendingEvent, PublishOutcome>): void {
    const failed = new Map<number, string>();
    for (const [{ shard, destination, type }, outcome] of outcomes) {
      if (outcome.status === 'ok') continue;
      if (!failed.has(shard)) failed.set(shard, `"${type}" to ${destination}: ${outcome.reason}`);
    }
    for (const shard of new Set([...outcomes.keys()].map((event) => event.shard))) {
      const reason = failed.get(shard);
      if (reason === undefined) this.pauses.clear(shard);
      else this.rest(shard, reason);
    }
  }

  private rest(shard: number, reason: string): void {
    this.position.restart(shard);
    // A blip, or a subscriber that comes a moment after the start, is not worth a line.
    if (this.pauses.add(shard) === FAILURES_UNTIL_WARNING)
      this.settings.log.warn(`event not published, trying again: ${reason}`);
  }

  private async closeReader(): Promise<void> {
    await this.settle().catch(() => undefined);
    this.removing = Promise.resolve();
    this.position.forget();
    const reader = this.reader;
    this.reader = undefined;
    await reader?.close().catch(() => undefined);
  }
}
