import type { NewAudit } from '../saga/state/audit.js';
import type { PendingEvent } from './outbox-storage.js';

/** A key of one destination, in its shard. */
export interface PlacedKey {
  readonly shard: number;
  readonly destination: string;
  readonly key: string;
}

/** A key whose later events wait behind one that could not be published. */
export interface BlockedKey extends PlacedKey {
  /** How many events of it wait, with the one that failed. */
  readonly events: number;
  /** Its first event waits for an operator. */
  readonly parked: boolean;
  /** Its first event waits behind one that is gone. */
  readonly stalled: boolean;
}

/** An event that leaves the outbox for the side table. */
export interface Diverted {
  readonly event: PendingEvent;
  /** Undefined for one that only waits behind another of its key. */
  readonly failure: Failure | undefined;
}

/** An event that its destination will never take. */
export interface Buried {
  readonly event: PendingEvent;
  readonly reason: string;
}

export interface Failure {
  /** Attempts that have failed. */
  readonly attempts: number;
  /** What the broker said. */
  readonly reason: string;
  /** Undefined: the key is parked until an operator has decided. */
  readonly nextInMs: number | undefined;
}

/** An event of the side table whose time has come, or that waits behind such a one. */
export interface RetryEvent extends Omit<PendingEvent, 'id'> {
  /** Place in the side table; within a key the order of the events. */
  readonly seq: bigint;
  /** Later events of its key wait for it. */
  readonly blocks: boolean;
  readonly attempts: number;
  /** How often it was on its way when nobody was sure that its publisher would survive it, and nothing was heard of it. */
  readonly flights: number;
}

/** What became of one event of the side table. */
export type RetryResult =
  | { readonly event: RetryEvent; readonly outcome: 'published' }
  | {
      readonly event: RetryEvent;
      readonly outcome: 'failed';
      readonly failure: Failure & { readonly nextInMs: number };
    }
  | { readonly event: RetryEvent; readonly outcome: 'parked'; readonly reason: string }
  | { readonly event: RetryEvent; readonly outcome: 'dead'; readonly reason: string };

/** Whether an event with this outcome is out of the side table. */
export function isGone(outcome: RetryResult['outcome']): boolean {
  return outcome === 'published' || outcome === 'dead';
}

export interface DueRequest {
  readonly shards: readonly number[];
  /** Destinations that are not to be tried now. */
  readonly except: readonly string[];
  /** Keys at most, and events of each. */
  readonly limit: number;
}

/** An event that gave up. */
export interface DeadLetter {
  readonly eventId: string;
  readonly destination: string;
  readonly type: string;
  readonly key: string;
  /** JSON text. */
  readonly payload: string;
  /** JSON text of a record of texts. */
  readonly headers: string;
  /** `rejected: ...` by the broker, `exhausted: ...` after its last attempt, or `killer: ...`: its publishers died with it. */
  readonly reason: string;
  readonly attempts: number;
  readonly createdAt: Date;
  readonly diedAt: Date;
  /** `onPoison: 'park-key'`: later events of its key wait until it is requeued or discarded. */
  readonly parked: boolean;
}

/** A dead letter as it may be shown everywhere: without its payload and headers, which may hold what is nobody's business. */
export type DeadLetterView = Omit<DeadLetter, 'payload' | 'headers'>;

/** What an operator wants is done in parts of so many events, each with its note: one is over long before a statement times out. */
export const CHANGED_AT_ONCE = 1_000;

/** Where a dead letter stands in the list, also when it is not there any more. */
export interface DeadLetterPlace {
  /** To the microsecond, in ISO 8601: a Date would not tell letters of one millisecond apart. */
  readonly diedAt: string;
  readonly eventId: string;
  readonly destination: string;
}

export interface ListedLetter {
  readonly letter: DeadLetterView;
  readonly place: DeadLetterPlace;
}

/** Which part of a list. */
export interface DeadLetterSlice {
  readonly limit: number;
  /** Only those behind this place. */
  readonly after?: DeadLetterPlace | undefined;
}

/** Which dead letters; what is left out does not matter. */
export interface DeadLetterFilter {
  readonly eventIds?: readonly string[] | undefined;
  readonly destination?: string | undefined;
  readonly type?: string | undefined;
  readonly key?: string | undefined;
  readonly diedAfter?: Date | undefined;
  readonly diedBefore?: Date | undefined;
}

/**
 * Events in trouble: those that failed, those that wait behind them, and those that gave up. The outbox itself holds
 * what is pending and has had no trouble. Only the owner of a shard works on its events. What is *not* here: deciding what
 * is tried again and when (the relay does).
 * Implementations pass the retry storage contract.
 */
export abstract class RetryStorage {
  /** Moves events from the outbox to the side table, in their order; one that is not in the outbox any more is left. */
  abstract divert(workerId: string, events: readonly Diverted[]): Promise<void>;

  /** Moves events from the outbox to the dead letters. */
  abstract bury(workerId: string, events: readonly Buried[]): Promise<void>;

  abstract blockedKeys(shards: readonly number[]): Promise<readonly BlockedKey[]>;

  /** The first event of each key is due if it waits behind one that is gone. */
  abstract promote(keys: readonly PlacedKey[]): Promise<void>;

  /** Events whose time has come, each followed by those of its key that wait behind it, in their order, up to a parked one. */
  abstract due(request: DueRequest): Promise<readonly RetryEvent[]>;

  /** Stores what became of them. The next event of a key whose head is gone is due at once. */
  abstract settle(workerId: string, results: readonly RetryResult[]): Promise<void>;

  /** The latest first, without what they carry: that is not even read. */
  abstract listDeadLetters(
    filter: DeadLetterFilter,
    slice: DeadLetterSlice,
  ): Promise<readonly ListedLetter[]>;

  /** The latest first, with what they carry. */
  abstract deadLetters(filter: DeadLetterFilter, limit: number): Promise<readonly DeadLetter[]>;

  /** Notes that events are about to be published by a process that may not survive it. */
  abstract depart(workerId: string, events: readonly RetryEvent[]): Promise<void>;

  /** It survived, though nothing became of the events. */
  abstract arrive(events: readonly RetryEvent[]): Promise<void>;

  /**
   * Gives dead letters another round, under their ids; they have lost their place in the order. Parked ones have kept it.
   * Noted in the audit, with their number, if there are any: each {@link CHANGED_AT_ONCE} on their own. What gives up after the
   * call has begun is not meant. So for `discard`.
   * @returns how many
   */
  abstract requeue(filter: DeadLetterFilter, audit: NewAudit): Promise<number>;

  /** Forgets dead letters. @returns how many */
  abstract discard(filter: DeadLetterFilter, audit: NewAudit): Promise<number>;
}
