import type { PublishItem, PublishOutcome, PublishOutcomes } from '../events/publish.js';
import type { Clock } from '../runtime/clock.js';
import { errorText } from '../runtime/error-text.js';
import { groupBy } from '../runtime/group-by.js';
import { within } from '../runtime/within.js';

/** Where events of one destination go: a broker, by shape. */
export interface Destination {
  publish(batch: readonly PublishItem[], signal: AbortSignal): Promise<PublishOutcomes>;
  ping(): Promise<void>;
}

/** An event that can be published, from wherever it was read. */
export interface Publishable {
  readonly eventId: string;
  readonly destination: string;
  readonly type: string;
  readonly key: string;
  readonly payload: string;
  readonly headers: string;
  readonly createdMs: number;
  readonly stampedMs?: number | null;
}

/** What became of the events of one destination. */
export interface PublishedGroup<E> {
  readonly destination: string;
  readonly events: readonly E[];
  /** In the order of the events; undefined where the destination told nothing, and others may be to blame for it. */
  readonly outcomes: PublishOutcomes;
  /** Why the destination as a whole took nothing: its events are not to blame. */
  readonly outage: string | undefined;
  /** There was too little time to blame anybody for: what has no outcome is to be tried again as if it never had been. */
  readonly cutShort?: true;
}

/** How long a batch may take. */
export interface PublishLimits {
  /** The most time there is, such as what is left of a lease. */
  readonly limitMs: number;
  /** A limit below this says nothing of a destination that does not answer within it. */
  readonly fairMs: number;
}

/** How long, and at most a tenth of the outer limit, a broker may take after the time-out to say which events it took before it. */
const PARTIAL_GRACE_MS = 500;
/** A broker that does not answer a ping within it is down. */
const PING_TIMEOUT_MS = 2_000;

interface Time {
  readonly ms: number;
  readonly isFair: boolean;
  readonly graceMs: number;
}

/** What a broker said, before it is known whether it is down. */
interface Answer {
  readonly outcomes: PublishOutcomes;
  /** Why outcomes are missing. */
  readonly reason: string;
  /** It had not answered when its time was up. */
  readonly isLate: boolean;
}

/** Hands batches to their destinations and finds out what became of each event. Never throws. */
export class Publisher {
  constructor(
    private readonly destinations: ReadonlyMap<string, Destination>,
    private readonly timeoutMs: number,
    private readonly clock: Clock,
  ) {}

  /** Destinations do not wait for each other. */
  publish<E extends Publishable>(
    events: readonly E[],
    { limitMs, fairMs }: PublishLimits,
  ): Promise<readonly PublishedGroup<E>[]> {
    const groups = groupBy(events, ({ destination }) => destination);
    const ms = Math.min(this.timeoutMs, limitMs);
    const isFair = ms >= Math.min(this.timeoutMs, fairMs);
    const time = { ms, isFair, graceMs: Math.min(PARTIAL_GRACE_MS, limitMs / 10) };
    return Promise.all([...groups].map(([name, group]) => this.publishTo(name, group, time)));
  }

  private async publishTo<E extends Publishable>(
    destination: string,
    events: readonly E[],
    time: Time,
  ): Promise<PublishedGroup<E>> {
    const target = this.destinations.get(destination);
    // Another process may have it: during a rolling deploy it would be wrong to give up its events.
    if (!target)
      return this.failed(destination, events, `no broker is named "${destination}" in this process`);
    const beganAt = this.clock.monotonic();
    const answer = await this.answerOf(target, events, time);
    if (answer.isLate && !time.isFair)
      return { destination, events, outcomes: settledOf(events, answer), outage: undefined, cutShort: true };
    const group = await this.judged(target, { destination, events }, answer);
    if (answer.isLate || group.outage !== undefined || !group.outcomes.includes(undefined)) return group;
    return this.sendAgain(group, { ...time, isFair: false, ms: time.ms - this.clock.monotonic() + beganAt });
  }

  /** Whose fault it is that something was not taken. Of several that nothing was told of, nobody knows whose. */
  private async judged<E extends Publishable>(
    target: Destination,
    { destination, events }: Pick<PublishedGroup<E>, 'destination' | 'events'>,
    { outcomes: given, reason, isLate }: Answer,
  ): Promise<PublishedGroup<E>> {
    const unknown = { status: 'retryable' as const, reason };
    const isLone = events.length === 1;
    const outcomes = events.map((_, index) => given[index] ?? (isLone ? unknown : undefined));
    const nothingTaken = outcomes.every((outcome) => (outcome ?? unknown).status === 'retryable');
    if (!nothingTaken) return { destination, events, outcomes, outage: undefined };
    const said = given[0] && 'reason' in given[0] ? given[0].reason : reason;
    const outage = isLate && !isLone ? reason : await this.outageOf(target, said);
    return { destination, events, outcomes, outage };
  }

  /**
   * Sends once more what nothing was told of, though the destination answers: its connection broke, or one of the events
   * breaks it, which is found by halves. Nothing overtakes an event of its key.
   */
  private async sendAgain<E extends Publishable>(
    { destination, events, outcomes }: PublishedGroup<E>,
    time: Time,
  ): Promise<PublishedGroup<E>> {
    const until = this.clock.monotonic() + time.ms;
    const known = new Map(events.map((event, index) => [event, outcomes[index]]));
    const untold = events.filter((event) => !known.get(event));
    const half = untold.length === events.length ? events.length >> 1 : untold.length;
    const waiting = new Set(events.filter((event) => refused(known.get(event))).map(({ key }) => key));
    let outage: string | undefined;
    for (const part of [untold.slice(0, half), untold.slice(half)]) {
      const going = part.filter(({ key }) => !waiting.has(key));
      const ms = until - this.clock.monotonic();
      if (going.length === 0 || ms <= 0 || outage !== undefined) continue;
      const group = await this.publishTo(destination, going, { ...time, ms });
      outage = group.outage;
      if (outage === undefined) for (const [n, event] of going.entries()) known.set(event, group.outcomes[n]);
      for (const event of going) if (known.get(event)?.status !== 'ok') waiting.add(event.key);
    }
    const all = events.map((event) => known.get(event));
    // What was told counts; a destination that is down now says so the next time.
    return { destination, events, outcomes: all, outage: all.some((one) => one) ? undefined : outage };
  }

  /** A broker that takes nothing is down, or refuses just these events. */
  private async outageOf(target: Destination, reason: string): Promise<string | undefined> {
    let refusal: string | undefined = `no answer to a ping within ${PING_TIMEOUT_MS} ms`;
    const ping = Promise.resolve()
      .then(() => target.ping())
      .then(() => undefined, errorText)
      .then((error) => void (refusal = error));
    await within(this.clock, PING_TIMEOUT_MS, ping);
    if (refusal === undefined) return undefined;
    return refusal === reason ? reason : `${reason} (${refusal})`;
  }

  private failed<E>(destination: string, events: readonly E[], reason: string): PublishedGroup<E> {
    const outcomes = events.map(() => ({ status: 'retryable' as const, reason }));
    return { destination, events, outcomes, outage: reason };
  }

  private async answerOf(
    destination: Destination,
    events: readonly Publishable[],
    { ms, graceMs }: Time,
  ): Promise<Answer> {
    const limit = new AbortController();
    const done = new AbortController();
    const items = events.map((event) => new OutboxItem(event));
    const work = Promise.resolve().then(() => destination.publish(items, limit.signal));
    const expiry = this.clock.delay(ms, done.signal).then(async () => {
      if (!done.signal.aborted) limit.abort();
      await this.clock.delay(graceMs, done.signal);
      return undefined;
    });
    try {
      const outcomes = await Promise.race([work, expiry]);
      const isLate = limit.signal.aborted;
      const reason = isLate ? `no answer within ${ms} ms` : 'the broker gave no outcome for this event';
      return { outcomes: outcomes ?? [], reason, isLate };
    } catch (error) {
      return { outcomes: [], reason: errorText(error), isLate: limit.signal.aborted };
    } finally {
      done.abort();
      work.catch(() => undefined);
    }
  }
}

/** What is known for good: a failure of which the short time may be the cause is none. */
function settledOf(events: readonly unknown[], { outcomes }: Answer): PublishOutcomes {
  return events.map((_, n) => (outcomes[n]?.status === 'retryable' ? undefined : outcomes[n]));
}

function refused(outcome: PublishOutcome | undefined): boolean {
  return outcome !== undefined && outcome.status !== 'ok';
}

/** Headers are put together when a broker asks for them first. */
class OutboxItem implements PublishItem {
  readonly eventId: string;
  readonly type: string;
  readonly key: string;
  readonly payload: string;
  readonly #event: Publishable;
  #headers: Readonly<Record<string, string>> | undefined;

  constructor(event: Publishable) {
    this.#event = event;
    this.eventId = event.eventId;
    this.type = event.type;
    this.key = event.key;
    this.payload = event.payload;
  }

  get headers(): Readonly<Record<string, string>> {
    return (this.#headers ??= this.allHeaders());
  }

  private allHeaders(): Readonly<Record<string, string>> {
    const { eventId: id, type, key, headers, createdMs, stampedMs } = this.#event;
    const own = headers === '{}' ? {} : (JSON.parse(headers) as Record<string, string>);
    const stamp = typeof stampedMs === 'number' ? { stampedAt: new Date(stampedMs).toISOString() } : {};
    return Object.assign(own, { id, type, key, occurredAt: new Date(createdMs).toISOString() }, stamp);
  }
}
