import type { Clock } from '../runtime/clock.js';
import type { Log } from '../runtime/log.js';
import type { Telemetry } from '../runtime/telemetry.js';
import { PollingLoop } from '../runtime/polling-loop.js';
import type { WorkerIdentity } from '../runtime/worker-identity.js';
import type { OutboxReader, OutboxStorage, PendingEvent, ReadBatch, ReadRequest } from './outbox-storage.js';
import type { PublishedGroup, Publishable, Publisher } from './publisher.js';
import { ReadPosition } from './read-position.js';
import { CircuitBreakers } from './circuit-breakers.js';
import type { OutboxRetries } from './outbox-retries.js';

export interface OutboxWorkerSettings {
  readonly identity: WorkerIdentity;
  readonly leaseMs: number;
  readonly storage: OutboxStorage;
  readonly publisher: Publisher;
  readonly retries: OutboxRetries;
  readonly telemetry: Telemetry;
  /** Events per read, all shards together. */
  readonly batchSize: number;
  readonly pollIntervalMs: number;
  readonly maxPollIntervalMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

const LEASE_INTERVAL_MS = 1_000;
const LEASE_LOST = 'the lease of this worker has run out';
/** A blip, or a subscriber that comes a moment after the start, is not worth an alarm. */
const FAILURES_UNTIL_ALARM = 4;

/** A read that was begun while the batch before it was on its way. */
interface ReadAhead {
  readonly request: ReadRequest;
  /** How often somebody had told of new events when it began. */
  readonly wakes: number;
  readonly read: Promise<ReadBatch>;
}

/**
 * The relay: leases shards, reads their events in order, publishes a batch, removes what the broker took, reads on.
 * One relay per shard gives order per key. No transaction is open while publishing. The next batch is read while one is
 * published and removed; but a batch goes out only when everything is known of the one before, and that one is gone. An event that its destination refuses leaves for the side table (OutboxRetries). While a destination
 * is down its events stay where they are, and are read again from the lowest pending one when it is tried again.
 */
export class OutboxWorker {
  private readonly loop: PollingLoop;
  private readonly position = new ReadPosition();
  private readonly breakers: CircuitBreakers;
  private reader: OutboxReader | undefined;
  private ahead: ReadAhead | undefined;
  private wakes = 0;
  /** The removal of the last batch. */
  private removing: Promise<void> = Promise.resolve();
  private leaseAt = -Infinity;
  /** Halved when nothing of a batch was taken, so that a slow destination gets on; doubled when something was. */
  private batchSize: number;

  constructor(private readonly settings: OutboxWorkerSettings) {
    this.batchSize = settings.batchSize;
    this.breakers = new CircuitBreakers(settings.clock);
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
    this.wakes += 1;
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
    const shards = await storage.leaseShards(identity.id);
    this.position.own(shards);
    await this.settings.retries.own(shards);
    this.leaseAt = clock.monotonic() + Math.min(LEASE_INTERVAL_MS, leaseMs / 5);
  }

  private async relay(): Promise<boolean> {
    const retried = this.settings.retries.due ? await this.retry() : 0;
    // What waited for a destination is read again.
    if (this.breakers.takeHalfOpen()) await this.startOver();
    const ahead = this.ahead ?? (await this.beginRead());
    this.ahead = undefined;
    if (!ahead) return retried > 0;
    const read = this.position.accept(await ahead.read, ahead.request);
    // Somebody has told of events that it was too early to see.
    if (read.length === 0) return retried > 0 || ahead.wakes !== this.wakes;
    this.ahead = await this.beginRead();
    // A crash repeats one batch, not two.
    await this.removing;
    const { open } = this.breakers;
    const events = open.size === 0 ? read : read.filter(({ destination }) => !open.has(destination));
    const groups = await this.publish(await this.settings.retries.sort(events));
    // Either all of it has moved behind other events, or all of it waits for destinations that are down: then there is time.
    if (groups.length === 0) return retried + events.length > 0;
    const taken = await this.take(groups);
    this.adapt(taken);
    return taken + retried > 0;
  }

  /** @returns how many events are out of the outbox */
  private async take(groups: readonly PublishedGroup<PendingEvent>[]): Promise<number> {
    const published: PendingEvent[] = [];
    let settled = 0;
    for (const group of groups) {
      if (group.outage !== undefined) continue;
      const { events, outcomes } = group;
      for (const [index, event] of events.entries())
        if (outcomes[index]?.status === 'ok') published.push(event);
      settled += outcomes.filter((outcome) => outcome !== undefined).length;
    }
    this.remove(published);
    const count = groups.reduce((sum, { events }) => sum + events.length, 0);
    if (published.length < count) await this.takeTrouble(groups);
    return settled;
  }

  /** When nothing is on its way: what was read ahead is read again. */
  private async takeTrouble(groups: readonly PublishedGroup<PendingEvent>[]): Promise<void> {
    await this.settle();
    for (const group of groups) {
      if (group.outage !== undefined) continue;
      await this.settings.retries.takeFailures(group);
      for (const [index, { shard }] of group.events.entries())
        if (group.outcomes[index] === undefined) this.position.restart(shard);
    }
  }

  /** @returns how many events of the side table are gone */
  private async retry(): Promise<number> {
    const { retries } = this.settings;
    const due = await retries.begin(this.breakers.open);
    return due.length === 0 ? 0 : retries.finish(await this.publish(due));
  }

  /** Halved when nothing of a batch was taken, so that a slow destination gets on; doubled when something was. */
  private adapt(taken: number): void {
    const { batchSize } = this.settings;
    this.batchSize = taken === 0 ? Math.ceil(this.batchSize / 2) : Math.min(batchSize, this.batchSize * 2);
  }

  private async startOver(): Promise<void> {
    await this.settle();
    this.position.startOver();
  }

  private async beginRead(): Promise<ReadAhead | undefined> {
    const request = this.position.request(new Set(this.settings.retries.overfull), this.batchSize);
    if (request.positions.size === 0) return undefined;
    // From the lowest pending id on: what was published must not be pending any more.
    if (request.fromTheStart) await this.removing;
    this.reader ??= await this.settings.storage.openReader();
    const { wakes } = this;
    const read = this.reader.read(request);
    read.catch(() => undefined);
    return { request, wakes, read };
  }

  private async publish<E extends Publishable>(events: readonly E[]): Promise<readonly PublishedGroup<E>[]> {
    const { identity, publisher, telemetry, clock } = this.settings;
    if (events.length === 0) return [];
    const remainingMs = identity.remainingMs();
    // Whoever has lost the lease while it was reading publishes nothing more: another may have begun to.
    if (remainingMs <= 0) throw new Error(LEASE_LOST);
    const beganAt = clock.monotonic();
    const groups = await publisher.publish(events, remainingMs);
    for (const { destination, outcomes, outage } of groups) {
      this.judge(destination, outage);
      const count = outcomes.filter((outcome) => outcome?.status === 'ok').length;
      const durationMs = clock.monotonic() - beganAt;
      if (count > 0) telemetry.emit('outbox.published', () => ({ destination, count, durationMs }));
    }
    return groups;
  }

  private judge(destination: string, outage: string | undefined): void {
    const { telemetry } = this.settings;
    if (outage === undefined) {
      if (this.breakers.close(destination)) telemetry.emit('outbox.circuit-closed', () => ({ destination }));
    } else if (this.breakers.trip(destination) === FAILURES_UNTIL_ALARM)
      telemetry.emit('outbox.circuit-opened', () => ({ destination, reason: outage }));
  }

  private remove(taken: readonly PendingEvent[]): void {
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

  private async closeReader(): Promise<void> {
    await this.settle().catch(() => undefined);
    this.removing = Promise.resolve();
    this.position.forget();
    this.settings.retries.forget();
    const reader = this.reader;
    this.reader = undefined;
    await reader?.close().catch(() => undefined);
  }
}
