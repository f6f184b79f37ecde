import type { OutboxRecord } from '../events/outbox-event.js';
import type { JournalEntry } from './state/journal.js';
import type { SagaStatus } from './state/saga-status.js';
import type { SagaVersion } from './state/saga-version.js';

/** A saga to be created. */
export interface NewSaga {
  readonly sagaId: string;
  readonly name: string;
  readonly version: number;
  /** Hash of the definition that it is started with. */
  readonly definition: string;
  /** JSON text. */
  readonly input: string;
  /** With the hash of its input: the same key and the same hash find the saga that is there. */
  readonly idempotencyKey: string | undefined;
  readonly inputHash: string;
  readonly correlationId: string;
  /** Go into the contexts of its handlers and into its events: the trace that it belongs to. Default: none. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly tags: Readonly<Record<string, string>>;
  /** The process that runs it from the first moment; undefined leaves it to be claimed. */
  readonly owner: string | undefined;
  /** Steps that the owner starts at once; empty without an owner. */
  readonly launch: readonly string[];
  /** The pivot is among them. */
  readonly launchesPivot: boolean;
  /** Milliseconds from now to the saga's deadline; undefined when it has none. */
  readonly timeoutMs: number | undefined;
  /** Milliseconds from now to the start; undefined starts at once. Only without an owner. */
  readonly delayMs: number | undefined;
}

export type CreatedSaga =
  | { readonly outcome: 'created' | 'existing'; readonly sagaId: string }
  | { readonly outcome: 'conflict'; readonly sagaId: string };

/** What one process writes to one saga: all of it or nothing. */
export interface SagaWrite {
  readonly sagaId: string;
  /** Fencing token of the claim under which this is written. */
  readonly epoch: number;
  /** In the order of their `seq`. */
  readonly entries: readonly JournalEntry[];
  /** Events that become visible together with the entries. */
  readonly events: readonly OutboxRecord[];
  /** The new status, when it changes. */
  readonly status?: SagaStatus | undefined;
  /** With an ended status: JSON texts of the results and of the error. */
  readonly end?: { readonly results: string; readonly error: string | null } | undefined;
  /**
   * The pivot starts with it. Such a write, and one that completes the saga, is not stored when a cancel was requested:
   * one row decides between the two.
   */
  readonly launchesPivot?: boolean;
  /** Lets go of the saga, so that any worker may claim it. */
  readonly release?: SagaRelease;
  /**
   * The number of signals that the writer knows of. The write is not stored when there are more: what ends a wait, or
   * parks a saga until a signal comes, must not miss one.
   */
  readonly signalSeq?: number | undefined;
}

/** How a saga is let go of. */
export interface SagaRelease {
  /**
   * Nobody needs to run it for so many milliseconds, unless a cancel is requested or a signal comes. Default: none. With
   * the status `waiting`, none means until a signal comes.
   */
  readonly wakeInMs?: number;
}

/** What the storage says of a write. */
export interface Appended {
  /** Somebody wants the saga cancelled. */
  readonly cancelRequested: boolean;
  /** False when that request refused it, or signals that the writer did not know of. */
  readonly stored: boolean;
  /** Of a write that ended the saga: its times, by the clock of the storage. Not when it had been stored before. */
  readonly ended?: { readonly startedAt: Date; readonly endedAt: Date };
}

/**
 * What became of a request to cancel. `requested`: the saga turns back, or is doing so already. `too_late`: its pivot
 * was launched, or it has ended.
 */
export type CancelAnswer = 'requested' | 'too_late' | 'not_found';

/** A message to one saga from outside. */
export interface NewSignal {
  readonly sagaId: string;
  /** The same id counts once for one saga. */
  readonly id: string;
  readonly name: string;
  /** JSON text. */
  readonly payload: string;
}

export interface StoredSignal extends NewSignal {
  /** 1 for the first of its saga. */
  readonly seq: number;
}

/** How many signals of a saga are known. */
export interface KnownSignals {
  readonly sagaId: string;
  readonly seq: number;
}

/** A saga as one claim of it knows it. */
export interface HeldSaga {
  readonly sagaId: string;
  readonly epoch: number;
}

/** `too_late`: the saga has ended or has turned back, and the signal was not stored. */
export type SignalAnswer = 'accepted' | 'duplicate' | 'too_late' | 'not_found';

/** A success that came when its saga had turned back, perhaps long ago. */
export interface LateResult {
  readonly sagaId: string;
  readonly workerId: string;
  readonly step: string;
  /** JSON text. */
  readonly text: string | null;
}

/** A saga that this process owns now, with what it needs to go on. */
export interface ClaimedSaga {
  readonly sagaId: string;
  readonly name: string;
  readonly version: number;
  /** Hash of the definition that it was started with. */
  readonly definition: string;
  readonly epoch: number;
  readonly status: SagaStatus;
  readonly input: string;
  readonly correlationId: string;
  /** Those it was started with. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Steps launched by the saga's first row. */
  readonly launch: readonly string[];
  readonly journal: readonly JournalEntry[];
  /** Milliseconds since it was started. */
  readonly ageMs: number;
  /** Milliseconds since the previous owner was last heard of; undefined when it had none or let go of it. */
  readonly silentMs: number | undefined;
  /** Its owner was another worker, which died or ended without letting go of it. */
  readonly orphaned: boolean;
  /** A cancel was requested while nobody ran it, or while its owner did not know. */
  readonly cancelRequested: boolean;
  /** Milliseconds to the saga's deadline, negative when it has passed; undefined when it has none. */
  readonly deadlineInMs: number | undefined;
  /** Every signal that has come, in order. */
  readonly signals: readonly StoredSignal[];
}

/** A definition as it is stored, once for each hash. */
export interface StoredDefinition {
  readonly name: string;
  readonly version: number;
  readonly hash: string;
  /** JSON text of its steps. */
  readonly data: string;
}

/** Sagas that have not ended and that no living worker can run: none has their version, or each has another one of it. */
export interface StrandedSagas {
  readonly name: string;
  readonly version: number;
  readonly hash: string;
  readonly count: number;
  /** When the oldest of those that were counted was started. */
  readonly since: Date;
}

/** How many sagas somebody may have to look at, by status; each counted among at most 100,000. */
export type SagaNumbers = Readonly<Record<'waiting' | 'compensating' | 'failed' | 'parked', number>>;

/** What is no longer kept. */
export interface RetentionLimits {
  /** Age since its end, in milliseconds, from which a completed or compensated saga is deleted; undefined keeps them. */
  readonly sagasMs: number | undefined;
  /** Age in milliseconds from which an idempotency key is deleted, unless its saga goes on. */
  readonly keysMs: number;
  /** How many of each at most. */
  readonly limit: number;
}

/** Age in milliseconds from which a saga that its own worker does not hold counts as lost. Longer than any statement takes. */
export const OWN_AGE_MS = 30_000;

export interface ClaimRequest {
  readonly workerId: string;
  readonly versions: readonly SagaVersion[];
  /** Sagas of this worker that it has lost track of, after a fault of the storage. */
  readonly lost: readonly string[];
  /**
   * Sagas that this worker runs or is about to. What else it owns it has lost without knowing, and claims anew once it
   * is older than `OWN_AGE_MS`: a younger one may have been created after this list was made.
   */
  readonly held: readonly string[];
  /** Only this saga. */
  readonly only?: string;
  readonly limit: number;
}

/** A saga as it can be looked at. */
export interface SagaRow {
  readonly sagaId: string;
  readonly name: string;
  readonly version: number;
  /** Hash of the definition that it was started with. */
  readonly definition: string;
  readonly status: SagaStatus;
  /** Number of the latest claim, or of the latest action of an operator. */
  readonly epoch: number;
  /** Somebody wants, or wanted, it cancelled. */
  readonly cancelRequested: boolean;
  readonly tags: Readonly<Record<string, string>>;
  readonly correlationId: string;
  /** Steps launched by its first row. */
  readonly launch: readonly string[];
  /** When it was started, or is to start. */
  readonly startedAt: Date;
  readonly endedAt: Date | null;
  /** JSON texts, once the saga has ended. */
  readonly results: string | null;
  readonly error: string | null;
}

/** A saga in a list: what its steps returned is not read. */
export type ListedSaga = Omit<SagaRow, 'results'>;

/** Which sagas to list; the newest first. */
export interface ListQuery {
  readonly statuses: readonly SagaStatus[];
  readonly name: string | undefined;
  /** Tags that a saga must have, with these values. */
  readonly tags: Readonly<Record<string, string>>;
  readonly startedAfter: Date | undefined;
  readonly startedBefore: Date | undefined;
  readonly limit: number;
  /** Only those that are older than this one, by their ids. */
  readonly after: string | undefined;
}

/** A transaction in which a step works; journal entry and events join it at its end. */
export interface SagaTransaction<Tx> {
  readonly tx: Tx;
  /** Runs the step, so that `outbox.publish` finds the transaction by itself. */
  run<T>(work: () => Promise<T>): Promise<T>;
  /**
   * Writes events and entry, the fence last, and commits.
   * @throws FencedError with nothing written; CommitUnknownError when it may have happened, or when an entry is there
   * already, so that this process has lost track of the saga. After a refusal the transaction is open: commit again.
   */
  commit(write: SagaWrite): Promise<Appended>;
  /**
   * Undoes everything and frees the connection. Does nothing after `commit` has succeeded.
   * @param handlerSettled false when the step may still be using the transaction: then its connection is closed
   */
  rollback(handlerSettled: boolean): Promise<void>;
}

/**
 * Where sagas live. Every write is fenced: it changes something only while `epoch` is that of the latest claim, else
 * it throws FencedError and nothing was written. What is *not* here: deciding what happens next (the engine does),
 * time-outs and retries (the runner does), knowing what a step is.
 * Implementations pass the saga storage contract.
 */
export abstract class SagaStorage<Tx = unknown> {
  /** Named in the start-up line. */
  abstract readonly kind: string;

  /**
   * Creates a saga, in the caller's transaction when one is given. Decides races on the idempotency key.
   * @param committed called once that transaction has committed, where the storage can tell
   */
  abstract create(saga: NewSaga, tx?: Tx, committed?: () => void): Promise<CreatedSaga>;

  /** Stores a write. May be repeated: when its entries are there already, nothing of it is stored again. */
  abstract append(write: SagaWrite): Promise<Appended>;

  /** Opens a transaction for a step. */
  abstract begin(): Promise<SagaTransaction<Tx>>;

  /** True for faults after which the whole transaction may simply be tried again (serialisation failure, deadlock). */
  abstract isTransient(error: unknown): boolean;

  /**
   * Takes sagas that nobody runs and whose time has come: without an owner, of a worker that is dead or has ended, or of this one
   * but lost; each with epoch + 1, and each by one of the workers that ask at once. The journal is read after the claim has committed, so the last entry of the old owner is in it.
   */
  abstract claim(request: ClaimRequest): Promise<readonly ClaimedSaga[]>;

  /** Asks for a saga to be cancelled. Whoever runs it learns of it with the next write, or by `cancelRequested`. */
  abstract requestCancel(sagaId: string): Promise<CancelAnswer>;

  /** Which of these sagas somebody wants cancelled. */
  abstract cancelRequested(sagaIds: readonly string[]): Promise<readonly string[]>;

  /** Which of these sagas have a later epoch: another claim or an operator has taken them. By primary key. */
  abstract taken(held: readonly HeldSaga[]): Promise<readonly string[]>;

  /** Stores a signal, once for each id. A saga that waits is due at once. */
  abstract signal(signal: NewSignal): Promise<SignalAnswer>;

  /** Signals of sagas beyond those that are known, in the order in which they came. */
  abstract signals(known: readonly KnownSignals[]): Promise<readonly StoredSignal[]>;

  /** The saga that was started with an idempotency key. */
  abstract findKey(name: string, idempotencyKey: string): Promise<string | undefined>;

  /**
   * Writes a late result into the journal and takes the saga, whoever owns it, with epoch + 1: its undo has to run
   * again. Undefined when the saga is neither compensating nor compensated nor failed: then the result changes nothing.
   */
  abstract reopen(late: LateResult): Promise<ClaimedSaga | undefined>;

  /** Stores a definition, unless it is there. */
  abstract saveDefinition(definition: StoredDefinition): Promise<void>;

  /** JSON text of the steps of a definition that a saga was started with. */
  abstract findDefinition(definition: Omit<StoredDefinition, 'data'>): Promise<string | undefined>;

  /** Costs at most about as much as reading 300,000 entries of indexes. */
  abstract numbers(): Promise<SagaNumbers>;

  /** At most 100,000 sagas are counted; may look at every saga that goes on: not for every second. */
  abstract stranded(): Promise<readonly StrandedSagas[]>;

  /**
   * Deletes what is past its retention, the oldest first: sagas with all that belongs to them. Failed and parked ones, and
   * those that go on, stay for ever.
   * @returns how many sagas and keys it deleted: at most the limit of each
   */
  abstract deleteExpired(limits: RetentionLimits): Promise<{ readonly sagas: number; readonly keys: number }>;

  abstract find(sagaId: string): Promise<SagaRow | undefined>;

  /** The newest first. Ids are UUIDv7, so their order is that of time. */
  abstract list(query: ListQuery): Promise<readonly ListedSaga[]>;

  /** Which of these sagas have ended, or are not there. */
  abstract ended(sagaIds: readonly string[]): Promise<readonly string[]>;

  abstract journal(sagaId: string): Promise<readonly JournalEntry[]>;
}
