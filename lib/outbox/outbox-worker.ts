import type { Clock } from '../runtime/clock.js';
import type { Log } from '../runtime/log.js';
import type { Telemetry } from '../runtime/telemetry.js';
import { Tracing } from '../runtime/tracing.js';
import { PollingLoop } from '../runtime/polling-loop.js';
import type { WorkerIdentity } from '../runtime/worker-identity.js';
import type { OutboxReader, OutboxStorage, PendingEvent, ReadBatch, ReadRequest } from './outbox-storage.js';
import type { PublishedGroup, Publishable, Publisher } from './publisher.js';
import { PublishTrace } from './publish-trace.js';
import { ReadPosition } from './read-position.js';
import { CircuitBreakers } from './circuit-breakers.js';
import type { OutboxRetries } from './outbox-retries.js';
import type { Standby } from './standby.js';
import { roundsOf } from './rounds.js';
import type { Suspicions } from './suspicions.js';

export interface OutboxWorkerSettings {
  readonly identity: WorkerIdentity;
  readonly leaseMs: number;
  readonly storage: OutboxStorage;
  readonly publisher: Publisher;
  readonly retries: OutboxRetries;
  readonly suspicions: Suspicions;
  readonly standby: Standby;
  readonly telemetry: Telemetry;
  readonly tracing?: Tracing;
  /** Events per read, all shards together. */
  readonly batchSize: number;
  /** Never more than one event of a key on its way. */
  readonly strict: boolean;
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
  /** The one shard that was read, when it is under suspicion. */
  readonly focus: number | undefined;
}

/**
 * The relay: leases shards, reads their events in order, publishes a batch, removes what the broker took, reads on.
 * One relay per shard gives order per key. No transaction is open while publishing. The next batch is read while one is
 * published and removed; but a batch goes out only when everything is known of the one before,
 * and that one is gone. An event that its destination refuses leaves for the side table (OutboxRetries). While a destination
 * is down its events stay where they are, and are read again from the lowest pending one when it is tried again. An event
 * that kills its publisher is found by Suspicions.
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
  /** Under which the shards are owned. */
  private name: string | undefined;
  private owned: readonly number[] = [];
  private stopping = false;
  /** Halved when nothing of a batch was taken, so that a slow destination gets on; doubled when something was. */
  private batchSize: number;
  private readonly tracing: Tracing;

  constructor(private readonly settings: OutboxWorkerSettings) {
    this.batchSize = settings.batchSize;
    this.tracing = settings.tracing ?? new Tracing();
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
    this.stopping = false;
    this.loop.start();
  }

  /** Looks for events at once: called in the process that has just written some. */
  wake(): void {
    this.wakes += 1;
    this.loop.wake();
  }

  /** Finishes the batch in flight and gives the shards back. */
  async stop(): Promise<void> {
    this.stopping = true;
    await this.loop.stop();
    await this.closeReader();
    await this.settings.storage.releaseShards(this.settings.identity.id);
    this.tellOwned([]);
  }

  private async round(): Promise<boolean> {
    try {
      const { standby, identity } = this.settings;
      if (await standby.rests()) return false;
      if (identity.remainingMs() <= 0) throw new Error(LEASE_LOST);
      if (await this.leaves()) return await this.leaveToOthers();
      await this.lease();
      return await this.relay();
    } catch (error) {
      this.leaseAt = -Infinity;
      await this.closeReader();
      throw error;
    }
  }

  /** Asked when nothing is on its way: others may take the shards in the moment in which this process leaves them. */
  private async leaves(): Promise<boolean> {
    const { nothingSince } = this.breakers;
    if (nothingSince === undefined) return false;
    await this.settle();
    return this.settings.standby.leave(nothingSince);
  }

  private async leaveToOthers(): Promise<false> {
    await this.closeReader();
    this.leaseAt = -Infinity;
    await this.settings.storage.releaseShards(this.settings.identity.id);
    this.tellOwned([]);
    return false;
  }

  /** When nothing is on its way: a shard may go to somebody else now, who reads it from its lowest pending id. */
  private async lease(): Promise<void> {
    const { clock, storage, identity, leaseMs } = this.settings;
    if (clock.monotonic() < this.leaseAt) return;
    await this.settle();
    // Whoever comes back under another name may have lost its shards to somebody, and got them back.
    if (identity.id !== this.name) await this.closeReader();
    this.name = identity.id;
    const shards = await storage.leaseShards(this.name);
    this.position.own(shards);
    await this.settings.suspicions.own(shards);
    await this.settings.retries.own(shards, this.settings.suspicions.any);
    this.tellOwned(shards);
    this.leaseAt = clock.monotonic() + Math.min(LEASE_INTERVAL_MS, leaseMs / 5);
  }

  private async relay(): Promise<boolean> {
    const { retries, suspicions } = this.settings;
    // Beside a shard under suspicion nothing is on its way.
    const retried = retries.due && !suspicions.focus ? await this.retry() : 0;
    // What waited for a destination is read again.
    if (this.breakers.takeHalfOpen()) await this.startOver();
    for (const destination of this.breakers.takeIdle()) this.tellClosed(destination);
    const ahead = this.ahead ?? (await this.beginRead());
    this.ahead = undefined;
    if (!ahead) return (await this.unwatch()) || retried > 0;
    const read = this.position.accept(await ahead.read, ahead.request);
    const more = read.length === 0 ? await this.foundNothing(ahead) : await this.relayBatch(read);
    return more || retried > 0;
  }

  /** A shard in focus that takes no more events is not read, and its retries would wait for ever for the end of the suspicion. */
  private async unwatch(): Promise<boolean> {
    const { suspicions } = this.settings;
    const { focus } = suspicions;
    if (focus) await suspicions.acquit([focus.shard]);
    return focus !== undefined;
  }

  /** @returns whether to look again at once */
  private async relayBatch(read: readonly PendingEvent[]): Promise<boolean> {
    const { suspicions, strict } = this.settings;
    if (!suspicions.focus) this.ahead = await this.beginRead();
    const { open } = this.breakers;
    const events = open.size === 0 ? read : read.filter(({ destination }) => !open.has(destination));
    // It waits for a destination that is down; others must not wait for it.
    if (events.length === 0 && suspicions.focus) await suspicions.survive(read, false);
    const taken = await this.publishRounds(roundsOf(events, strict));
    if (taken !== undefined) this.adapt(taken);
    // Either all of it has moved behind other events, or all of it waits for destinations that are down: then there is time.
    return (taken ?? events.length) > 0;
  }

  /** @returns whether to look again at once */
  private async foundNothing({ wakes, focus }: ReadAhead): Promise<boolean> {
    if (focus !== undefined) await this.settings.suspicions.acquit([focus]);
    // Somebody has told of events that it was too early to see.
    return focus !== undefined || wakes !== this.wakes;
  }

  /**
   * One after the other. When one is not answered wholly, what is left of the batch is read again: an event must not
   * overtake another one of its key. @returns how many events are out of the outbox, undefined when nothing was published
   */
  private async publishRounds(rounds: readonly (readonly PendingEvent[])[]): Promise<number | undefined> {
    const { retries, suspicions, storage } = this.settings;
    let taken: number | undefined;
    for (const [n, round] of rounds.entries()) {
      // A crash repeats one batch, not two.
      await this.removing;
      const events = await suspicions.accuse(await storage.loadPayloads(await retries.sort(round)));
      const groups = await this.publish(events);
      if (groups.length === 0) continue;
      const all = groups.every(
        ({ outage, outcomes }) => outage === undefined && !outcomes.includes(undefined),
      );
      await suspicions.survive(events, all);
      taken = (taken ?? 0) + (await this.take(groups));
      if (all && !this.stopping) continue;
      for (const { shard } of rounds.slice(n + 1).flat()) this.position.restart(shard);
      break;
    }
    return taken;
  }

  private tellOwned(shards: readonly number[]): void {
    if (shards.join() === this.owned.join()) return;
    this.owned = shards;
    this.settings.telemetry.emit('outbox.shards-changed', () => ({ shards }));
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
    const { suspicions, retries } = this.settings;
    const { shard: focus, limit = this.batchSize } = suspicions.focus ?? {};
    const beside = focus === undefined ? [] : this.owned.filter((shard) => shard !== focus);
    const paused = new Set([...retries.overfull, ...beside]);
    const request = this.position.request(paused, Math.min(limit, this.batchSize));
    if (request.positions.size === 0) return undefined;
    // From the lowest pending id on: what was published must not be pending any more.
    if (request.fromTheStart) await this.removing;
    this.reader ??= await this.settings.storage.openReader();
    const { wakes } = this;
    const read = this.reader.read(request);
    read.catch(() => undefined);
    return { request, wakes, read, focus };
  }

  private async publish<E extends Publishable>(events: readonly E[]): Promise<readonly PublishedGroup<E>[]> {
    const { identity, publisher, telemetry, clock, leaseMs } = this.settings;
    if (events.length === 0) return [];
    const remainingMs = identity.remainingMs();
    // Whoever has lost the lease while it was reading publishes nothing more: another may have begun to.
    if (remainingMs <= 0 || identity.id !== this.name) throw new Error(LEASE_LOST);
    const beganAt = clock.monotonic();
    const trace = new PublishTrace(this.tracing, events);
    const limits = { limitMs: remainingMs, fairMs: leaseMs / 2 };
    const groups = trace.end(await publisher.publish(trace.events, limits));
    for (const { destination, events: sent, outcomes, outage, cutShort } of groups) {
      if (!cutShort) this.judge(destination, outage);
      const count = outcomes.filter((outcome) => outcome?.status === 'ok').length;
      const durationMs = clock.monotonic() - beganAt;
      if (count === 0) continue;
      telemetry.emit('outbox.published', () => {
        const taken = sent.filter((_, index) => outcomes[index]?.status === 'ok');
        return { destination, count, durationMs, deliveryMs: taken.map((event) => ageOf(event, clock)) };
      });
    }
    return groups;
  }

  private judge(destination: string, outage: string | undefined): void {
    const { telemetry } = this.settings;
    if (outage === undefined) {
      if (this.breakers.close(destination)) this.tellClosed(destination);
    } else if (this.breakers.trip(destination) === FAILURES_UNTIL_ALARM)
      telemetry.emit('outbox.circuit-opened', () => ({ destination, reason: outage }));
  }

  private tellClosed(destination: string): void {
    this.settings.telemetry.emit('outbox.circuit-closed', () => ({ destination }));
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
    this.settings.suspicions.forget();
    const reader = this.reader;
    this.reader = undefined;
    await reader?.close().catch(() => undefined);
  }
}

/** Two clocks may disagree by more than an event is old. */
function ageOf({ createdMs, stampedMs }: Publishable, clock: Clock): number {
  return Math.max(0, clock.now() - (stampedMs ?? createdMs));
}
