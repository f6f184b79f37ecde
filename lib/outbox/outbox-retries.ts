import { backOffMs, type BackOff } from '../runtime/back-off.js';
import type { Clock } from '../runtime/clock.js';
import { groupBy } from '../runtime/group-by.js';
import type { Telemetry } from '../runtime/telemetry.js';
import type { WorkerIdentity } from '../runtime/worker-identity.js';
import { BlockedKeys } from './blocked-keys.js';
import type { PendingEvent } from './outbox-storage.js';
import type { PublishedGroup } from './publisher.js';
import type { PublishOutcome } from '../events/publish.js';
import { DEATHS_ALONE, KILLER } from './suspicions.js';
import {
  isGone,
  type Buried,
  type Diverted,
  type Failure,
  type RetryEvent,
  type RetryResult,
  type RetryStorage,
} from './retry-storage.js';

export interface OutboxRetrySettings {
  readonly storage: RetryStorage;
  readonly identity: WorkerIdentity;
  readonly policy: BackOff & { readonly maxAttempts: number };
  /** What a key does whose event gives up: it goes on, or waits for an operator. */
  readonly onPoison: 'skip' | 'park-key';
  /** Never more than one event of a key on its way. */
  readonly strict: boolean;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
}

/** Keys tried in one round, and events of each. */
const ROUND_LIMIT = 100;
const INTERVAL_MS = 250;
/** What is known of blocked keys is not believed for longer. */
const RELOAD_MS = 10_000;
/** An event that was on its way so often when its publisher died goes alone from then on. */
const DEATHS_UNTIL_ALONE = 2;

/**
 * Events in trouble, off the way of all others. One that failed waits in the side table for its next attempt, and later
 * events of its key wait there behind it; after its last attempt it becomes a dead letter, and its key goes on.
 */
export class OutboxRetries {
  private readonly blocked = new BlockedKeys();
  private owned: readonly number[] = [];
  private nextAt = -Infinity;
  private loadedAt = -Infinity;
  /** Overfull shards that were told of. */
  private paused: readonly number[] = [];
  /** An event of the side table may have killed the last owner of a shard. */
  private wary = false;

  constructor(private readonly settings: OutboxRetrySettings) {}

  /** Shards that take no more events from the outbox for now. */
  get overfull(): readonly number[] {
    return this.blocked.overfull;
  }

  /** Nothing of the owned shards is on its way: what is blocked there is read anew. */
  async own(shards: readonly number[], unclean: boolean): Promise<void> {
    this.wary ||= unclean;
    if (shards.join() === this.owned.join() && !this.doubtful) return;
    this.blocked.forget();
    if (shards.length > 0) await this.load(shards);
    this.owned = shards;
    this.tellPaused();
  }

  /**
   * What an operator has decided of a parked key, somewhere else, is not told. Whatever else makes a key wait for an event
   * that is gone must not last.
   */
  private get doubtful(): boolean {
    if (this.blocked.anyParked) return true;
    return this.blocked.any && this.settings.clock.monotonic() - this.loadedAt >= RELOAD_MS;
  }

  /** What was moved behind an event in the moment in which somebody else removed that waits for nothing. */
  private async load(shards: readonly number[]): Promise<void> {
    const { storage, clock } = this.settings;
    const keys = await storage.blockedKeys(shards);
    this.loadedAt = clock.monotonic();
    this.blocked.load(keys);
    const stalled = keys.filter((key) => key.stalled);
    if (stalled.length === 0) return;
    await storage.promote(stalled);
    this.nextAt = -Infinity;
  }

  /** After a fault: nothing that is known may be true any more. */
  forget(): void {
    this.owned = [];
    this.blocked.forget();
  }

  /** Moves events of blocked keys behind those that block them. @returns the others */
  async sort(events: readonly PendingEvent[]): Promise<readonly PendingEvent[]> {
    if (!this.blocked.any) return events;
    const behind = events.filter((event) => this.blocked.has(event));
    if (behind.length === 0) return events;
    await this.divert(behind.map((event) => ({ event, failure: undefined })));
    return events.filter((event) => !behind.includes(event));
  }

  /** Takes what a destination refused, which is not down itself. */
  async takeFailures({ events, outcomes }: PublishedGroup<PendingEvent>): Promise<void> {
    const refused = events.map((event, index) => ({ event, outcome: outcomes[index] }));
    const parks = this.settings.onPoison === 'park-key';
    const dead: Buried[] = [];
    const diverted: Diverted[] = [];
    const heads = new Set<string>();
    for (const { event, outcome } of refused) {
      if (!outcome || outcome.status === 'ok') continue;
      const key = JSON.stringify([event.destination, event.key]);
      const reason = this.givesUp(outcome);
      // The broker may have refused it only because of the one before it.
      if (heads.has(key) && !(reason && !parks)) diverted.push({ event, failure: undefined });
      else if (reason) dead.push({ event, reason });
      else diverted.push({ event, failure: this.failureOf(0, outcome.reason) });
      if (!reason || parks) heads.add(key);
    }
    await this.bury(dead);
    if (diverted.length > 0) await this.divert(diverted);
  }

  /** Makes dead letters of events of the outbox, or parks their keys. */
  async bury(events: readonly Buried[]): Promise<void> {
    if (events.length === 0) return;
    const { storage, identity, onPoison } = this.settings;
    if (onPoison === 'skip') await storage.bury(identity.id, events);
    else {
      await this.divert(
        events.map(({ event, reason }) => ({ event, failure: { attempts: 1, reason, nextInMs: undefined } })),
      );
    }
    for (const { event, reason } of events) this.tellDead(event, reason);
  }

  /** Why an event that was refused in its first attempt gets no other one. */
  private givesUp(outcome: PublishOutcome & { readonly reason: string }): string | undefined {
    if (outcome.status === 'rejected') return `rejected: ${outcome.reason}`;
    return this.settings.policy.maxAttempts === 1 ? `exhausted: ${outcome.reason}` : undefined;
  }

  get due(): boolean {
    return this.owned.length > 0 && this.settings.clock.monotonic() >= this.nextAt;
  }

  /** Events whose time has come. @param open destinations that are down */
  async begin(open: ReadonlySet<string>): Promise<readonly RetryEvent[]> {
    this.nextAt = this.settings.clock.monotonic() + INTERVAL_MS;
    const request = { shards: this.owned, except: [...open], limit: ROUND_LIMIT };
    const due = await this.settings.storage.due(request);
    const events = this.settings.strict ? headsOf(due) : due;
    if (!this.wary) return events;
    this.wary = events.length > 0 || open.size > 0;
    return this.depart(events);
  }

  /** Notes that they are on their way, so that one that kills its publisher is found. @returns those that may go */
  private async depart(events: readonly RetryEvent[]): Promise<readonly RetryEvent[]> {
    const { storage, identity } = this.settings;
    const deadly = events.find(({ flights }) => flights >= DEATHS_UNTIL_ALONE);
    // Those before it in its key come first: it must not overtake them.
    const alone = deadly?.blocks ? events.find((event) => event.blocks && isSameKey(event, deadly)) : deadly;
    if (alone && alone.flights >= DEATHS_UNTIL_ALONE + DEATHS_ALONE) {
      await this.settle([this.giveUp(alone, KILLER)]);
      return [];
    }
    const going = alone ? [alone] : events;
    if (going.length > 0) await storage.depart(identity.id, going);
    return going;
  }

  /** What became of them. @returns how many are gone */
  async finish(groups: readonly PublishedGroup<RetryEvent>[]): Promise<number> {
    const results = groups
      .filter(({ outage }) => outage === undefined)
      .flatMap((group) => this.resultsOf(group));
    if (this.wary) await this.arrive(groups, results);
    return results.length === 0 ? 0 : this.settle(results);
  }

  /** Its publisher has survived what it heard nothing of. */
  private async arrive(
    groups: readonly PublishedGroup<RetryEvent>[],
    results: readonly RetryResult[],
  ): Promise<void> {
    const settled = new Set(results.map(({ event }) => event));
    const others = groups.flatMap(({ events }) => events).filter((event) => !settled.has(event));
    if (others.length > 0) await this.settings.storage.arrive(others);
  }

  private async settle(results: readonly RetryResult[]): Promise<number> {
    await this.settings.storage.settle(this.settings.identity.id, results);
    const gone = results.filter(({ outcome }) => isGone(outcome));
    for (const { event } of gone) if (event.blocks) this.blocked.remove(event);
    for (const result of results) {
      if (result.outcome === 'parked') this.blocked.park();
      if ('reason' in result) this.tellDead(result.event, result.reason);
    }
    this.tellPaused();
    // The next events of their keys are due at once.
    if (gone.length > 0) this.nextAt = -Infinity;
    return gone.length;
  }

  private resultsOf({ events, outcomes }: PublishedGroup<RetryEvent>): RetryResult[] {
    const byKey = groupBy(
      events.map((event, index) => ({ event, outcome: outcomes[index] })),
      ({ event }) => (event.blocks ? event.key : event.eventId),
    );
    const parks = this.settings.onPoison === 'park-key';
    return [...byKey.values()].flatMap((line) => {
      const results: RetryResult[] = [];
      let failed = false;
      for (const { event, outcome } of line) {
        const holdsUp = outcome?.status !== 'ok' && (parks || outcome?.status !== 'rejected');
        // Those behind the first that failed have not had an attempt of their own, and only one event of a key is parked.
        if (outcome && !(failed && holdsUp)) results.push(this.resultOf(event, outcome));
        failed ||= holdsUp;
      }
      return results;
    });
  }

  private resultOf(event: RetryEvent, outcome: PublishOutcome): RetryResult {
    if (outcome.status === 'ok') return { event, outcome: 'published' };
    const { reason } = outcome;
    if (outcome.status === 'rejected') return this.giveUp(event, `rejected: ${reason}`);
    if (event.attempts + 1 >= this.settings.policy.maxAttempts)
      return this.giveUp(event, `exhausted: ${reason}`);
    return { event, outcome: 'failed', failure: this.failureOf(event.attempts, reason) };
  }

  /** One that holds up nobody has no key to park. */
  private giveUp(event: RetryEvent, reason: string): RetryResult {
    const parks = this.settings.onPoison === 'park-key' && event.blocks;
    return { event, outcome: parks ? 'parked' : 'dead', reason };
  }

  private failureOf(before: number, reason: string): Failure & { readonly nextInMs: number } {
    const attempts = before + 1;
    return { attempts, reason, nextInMs: backOffMs(this.settings.policy, attempts) };
  }

  private async divert(events: readonly Diverted[]): Promise<void> {
    await this.settings.storage.divert(this.settings.identity.id, events);
    for (const { event, failure } of events) {
      this.blocked.add(event);
      if (failure && failure.nextInMs === undefined) this.blocked.park();
    }
    this.tellPaused();
    const failed = events.filter(({ failure }) => failure?.nextInMs !== undefined);
    for (const [destination, group] of groupBy(failed, ({ event }) => event.destination)) {
      const { reason = '' } = group[0]?.failure ?? {};
      this.settings.telemetry.emit('outbox.retrying', () => ({ destination, count: group.length, reason }));
    }
  }

  /** Of each shard that has become full since this was called last. */
  private tellPaused(): void {
    const told = this.paused;
    this.paused = this.overfull;
    for (const shard of this.paused)
      if (!told.includes(shard)) this.settings.telemetry.emit('outbox.shard-paused', () => ({ shard }));
  }

  private tellDead({ eventId, type, destination }: Omit<PendingEvent, 'id'>, reason: string): void {
    this.settings.telemetry.emit('outbox.dead-lettered', () => ({ eventId, type, destination, reason }));
  }
}

function isSameKey(a: RetryEvent, b: RetryEvent): boolean {
  return a.shard === b.shard && a.destination === b.destination && a.key === b.key;
}

/** The first of each key, and all that hold up nobody. */
function headsOf(events: readonly RetryEvent[]): readonly RetryEvent[] {
  const seen = new Set<string>();
  return events.filter(({ blocks, destination, key }) => {
    const name = JSON.stringify([destination, key]);
    if (!blocks) return true;
    if (seen.has(name)) return false;
    seen.add(name);
    return true;
  });
}
