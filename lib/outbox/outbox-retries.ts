import { backOffMs, type BackOff } from '../runtime/back-off.js';
import type { Clock } from '../runtime/clock.js';
import { groupBy } from '../runtime/group-by.js';
import type { Telemetry } from '../runtime/telemetry.js';
import type { WorkerIdentity } from '../runtime/worker-identity.js';
import { BlockedKeys } from './blocked-keys.js';
import type { PendingEvent } from './outbox-storage.js';
import type { PublishedGroup } from './publisher.js';
import type { Buried, Diverted, Failure, RetryEvent, RetryResult, RetryStorage } from './retry-storage.js';

export interface OutboxRetrySettings {
  readonly storage: RetryStorage;
  readonly identity: WorkerIdentity;
  readonly policy: BackOff & { readonly maxAttempts: number };
  readonly clock: Clock;
  readonly telemetry: Telemetry;
}

/** Keys tried in one round, and events of each. */
const ROUND_LIMIT = 100;
const INTERVAL_MS = 250;

/**
 * Events in trouble, off the way of all others. One that failed waits in the side table for its next attempt, and later
 * events of its key wait there behind it; after its last attempt it becomes a dead letter, and its key goes on.
 */
export class OutboxRetries {
  private readonly blocked = new BlockedKeys();
  private owned: readonly number[] = [];
  private nextAt = -Infinity;

  constructor(private readonly settings: OutboxRetrySettings) {}

  /** Shards that take no more events from the outbox for now. */
  get overfull(): readonly number[] {
    return this.blocked.overfull;
  }

  /** Nothing of the owned shards is on its way: what is blocked there is read anew. */
  async own(shards: readonly number[]): Promise<void> {
    if (shards.join() === this.owned.join()) return;
    this.blocked.forget();
    if (shards.length > 0) this.blocked.load(await this.settings.storage.blockedKeys(shards));
    this.owned = shards;
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
    const dead: Buried[] = [];
    const diverted: Diverted[] = [];
    const heads = new Set<string>();
    for (const { event, outcome } of refused) {
      if (outcome?.status === 'rejected') dead.push({ event, reason: `rejected: ${outcome.reason}` });
      if (outcome?.status !== 'retryable') continue;
      const key = JSON.stringify([event.destination, event.key]);
      // The broker may have refused it only because of the one before it.
      if (heads.has(key)) diverted.push({ event, failure: undefined });
      else if (this.settings.policy.maxAttempts === 1)
        dead.push({ event, reason: `exhausted: ${outcome.reason}` });
      else diverted.push({ event, failure: this.failureOf(0, outcome.reason) });
      if (this.settings.policy.maxAttempts > 1) heads.add(key);
    }
    if (dead.length > 0) await this.settings.storage.bury(this.settings.identity.id, dead);
    for (const { event, reason } of dead) this.tellDead(event, reason);
    if (diverted.length > 0) await this.divert(diverted);
  }

  get due(): boolean {
    return this.owned.length > 0 && this.settings.clock.monotonic() >= this.nextAt;
  }

  /** Events whose time has come. @param open destinations that are down */
  async begin(open: ReadonlySet<string>): Promise<readonly RetryEvent[]> {
    this.nextAt = this.settings.clock.monotonic() + INTERVAL_MS;
    const request = { shards: this.owned, except: [...open], limit: ROUND_LIMIT };
    return this.settings.storage.due(request);
  }

  /** What became of them. @returns how many are gone */
  async finish(groups: readonly PublishedGroup<RetryEvent>[]): Promise<number> {
    const results = groups
      .filter(({ outage }) => outage === undefined)
      .flatMap((group) => this.resultsOf(group));
    if (results.length === 0) return 0;
    await this.settings.storage.settle(this.settings.identity.id, results);
    const gone = results.filter(({ outcome }) => outcome !== 'failed');
    for (const { event } of gone) if (event.blocks) this.blocked.remove(event);
    for (const result of gone) if (result.outcome === 'dead') this.tellDead(result.event, result.reason);
    // The next events of their keys are due at once.
    if (gone.length > 0) this.nextAt = -Infinity;
    return gone.length;
  }

  private resultsOf({ events, outcomes }: PublishedGroup<RetryEvent>): RetryResult[] {
    const byKey = groupBy(
      events.map((event, index) => ({ event, outcome: outcomes[index] })),
      ({ event }) => (event.blocks ? event.key : event.eventId),
    );
    return [...byKey.values()].flatMap((line) => {
      const results: RetryResult[] = [];
      let failed = false;
      for (const { event, outcome } of line) {
        if (outcome?.status === 'ok') results.push({ event, outcome: 'published' });
        else if (outcome?.status === 'rejected')
          results.push({ event, outcome: 'dead', reason: `rejected: ${outcome.reason}` });
        // Those behind the first that failed have not had an attempt of their own.
        else if (outcome && !failed) results.push(this.failedResult(event, outcome.reason));
        failed ||= outcome === undefined || outcome.status === 'retryable';
      }
      return results;
    });
  }

  private failedResult(event: RetryEvent, reason: string): RetryResult {
    if (event.attempts + 1 >= this.settings.policy.maxAttempts)
      return { event, outcome: 'dead', reason: `exhausted: ${reason}` };
    return { event, outcome: 'failed', failure: this.failureOf(event.attempts, reason) };
  }

  private failureOf(before: number, reason: string): Failure {
    const attempts = before + 1;
    return { attempts, reason, nextInMs: backOffMs(this.settings.policy, attempts) };
  }

  private async divert(events: readonly Diverted[]): Promise<void> {
    await this.settings.storage.divert(this.settings.identity.id, events);
    const before = new Set(this.overfull);
    for (const { event } of events) this.blocked.add(event);
    const paused = this.overfull.filter((shard) => !before.has(shard));
    for (const shard of paused) this.settings.telemetry.emit('outbox.shard-paused', () => ({ shard }));
    const failed = events.filter(({ failure }) => failure !== undefined);
    for (const [destination, group] of groupBy(failed, ({ event }) => event.destination)) {
      const { reason = '' } = group[0]?.failure ?? {};
      this.settings.telemetry.emit('outbox.retrying', () => ({ destination, count: group.length, reason }));
    }
  }

  private tellDead({ eventId, type, destination }: Omit<PendingEvent, 'id'>, reason: string): void {
    this.settings.telemetry.emit('outbox.dead-lettered', () => ({ eventId, type, destination, reason }));
  }
}
