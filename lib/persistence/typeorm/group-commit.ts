import type { Clock } from '../../runtime/clock.js';
import { isLockTimeout, isOutage, isTransient } from './sql-state.js';

/** What a flush says of one item. `busy`: its row was locked, so it goes with a later flush. */
export type Answer<R> = { readonly value: R } | { readonly error: Error } | 'busy';

export interface Weight {
  readonly rows: number;
  readonly bytes: number;
}

export interface GroupCommitSettings<T, R> {
  /**
   * Stores items in one statement: one answer for each, or an error when nothing was stored or nobody knows. It must
   * bear to be given an item again that was stored before.
   */
  readonly flush: (items: readonly T[]) => Promise<readonly Answer<R>[]>;
  readonly weigh: (item: T) => Weight;
  /** Items that are about the same thing never go together. */
  readonly subjectOf: (item: T) => string;
  readonly clock: Clock;
  /** Flushes at the same time. Default 1. */
  readonly lanes?: number;
  /** Rows of a flush. Default 500. */
  readonly maxRows?: number;
}

interface Waiting<T, R> {
  readonly item: T;
  readonly weight: Weight;
  /** By the monotonic clock. */
  readonly since: number;
  tries: number;
  readonly resolve: (value: R) => void;
  readonly reject: (error: unknown) => void;
}

const MAX_ROWS = 500;
/** What is less is not worth a second flush at the same time. */
const MIN_SHARE = 16;
const MAX_BYTES = 4 * 2 ** 20;
/** For how long an item is tried while its row is locked or the database cannot be reached. */
const PATIENCE_MS = 30_000;
const FIRST_PAUSE_MS = 2;
const LONGEST_PAUSE_MS = 250;

/**
 * Group commit: what is asked for while a flush is in flight goes out together with the next one. A flush that the
 * database refuses is split until the item that it refuses stands alone; one whose reply is lost is sent again. Callers
 * wait for their own item, which is all the back-pressure there is: what waits here is what somebody awaits.
 */
export class GroupCommit<T, R> {
  private waiting: Waiting<T, R>[] = [];
  private flushing = 0;
  private scheduled = false;
  private closed = false;
  private readonly lanes: number;
  private readonly maxRows: number;

  constructor(private readonly settings: GroupCommitSettings<T, R>) {
    this.lanes = settings.lanes ?? 1;
    this.maxRows = settings.maxRows ?? MAX_ROWS;
  }

  /** Resolves when the item is durable. @throws what the database says against it, or why it cannot be reached */
  add(item: T): Promise<R> {
    const { weigh, clock } = this.settings;
    return new Promise((resolve, reject) => {
      this.enqueue({ item, weight: weigh(item), since: clock.monotonic(), tries: 0, resolve, reject });
    });
  }

  /** Nothing more is sent; what still waits fails. */
  close(): void {
    this.closed = true;
    const left = this.waiting;
    this.waiting = [];
    for (const { reject } of left) reject(new Error(CLOSED));
  }

  private enqueue(waiting: Waiting<T, R>): void {
    if (this.closed) {
      waiting.reject(new Error(CLOSED));
      return;
    }
    this.waiting.push(waiting);
    this.schedule();
  }

  /** After everything that is ready to ask has asked. */
  private schedule(): void {
    if (this.scheduled || this.flushing >= this.lanes || this.waiting.length === 0) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      while (this.flushing < this.lanes && this.waiting.length > 0) void this.send(this.take());
    });
  }

  /** The oldest that fit into a flush, and at least one. */
  private take(): Waiting<T, R>[] {
    const batch: Waiting<T, R>[] = [];
    const rest: Waiting<T, R>[] = [];
    const subjects = new Set<string>();
    const share = Math.max(MIN_SHARE, Math.ceil(this.waiting.length / (this.lanes - this.flushing)));
    const maxRows = Math.min(this.maxRows, share);
    let rows = 0;
    let bytes = 0;
    for (const waiting of this.waiting) {
      const subject = this.settings.subjectOf(waiting.item);
      const { weight } = waiting;
      const full = rows + weight.rows > maxRows || bytes + weight.bytes > MAX_BYTES;
      if ((full && batch.length > 0) || subjects.has(subject)) {
        rest.push(waiting);
        continue;
      }
      rows += weight.rows;
      bytes += weight.bytes;
      subjects.add(subject);
      batch.push(waiting);
    }
    this.waiting = rest;
    return batch;
  }

  private async send(batch: readonly Waiting<T, R>[]): Promise<void> {
    this.flushing += 1;
    await this.flush(batch);
    this.flushing -= 1;
    this.schedule();
  }

  private async flush(batch: readonly Waiting<T, R>[]): Promise<void> {
    try {
      const answers = await this.settings.flush(batch.map(({ item }) => item));
      for (const [index, waiting] of batch.entries()) this.answer(waiting, answers[index] ?? 'busy');
    } catch (error) {
      const alone = batch.length === 1;
      const mayPass = isOutage(error) || (alone && (isTransient(error) || isLockTimeout(error)));
      if (mayPass) this.repeat(batch, error);
      else if (alone) batch[0]?.reject(error);
      else await this.split(batch);
    }
  }

  private async split(batch: readonly Waiting<T, R>[]): Promise<void> {
    const half = batch.length >> 1;
    await this.flush(batch.slice(0, half));
    await this.flush(batch.slice(half));
  }

  private answer(waiting: Waiting<T, R>, answer: Answer<R>): void {
    if (answer === 'busy') this.later(waiting, new Error(BUSY));
    else if ('error' in answer) waiting.reject(answer.error);
    else waiting.resolve(answer.value);
  }

  private repeat(batch: readonly Waiting<T, R>[], error: unknown): void {
    for (const waiting of batch) this.later(waiting, error);
  }

  private later(waiting: Waiting<T, R>, reason: unknown): void {
    const { clock } = this.settings;
    if (this.closed || clock.monotonic() - waiting.since > PATIENCE_MS) {
      waiting.reject(reason);
      return;
    }
    const pause = Math.min(FIRST_PAUSE_MS * 2 ** waiting.tries, LONGEST_PAUSE_MS);
    waiting.tries += 1;
    clock.after(pause, () => this.enqueue(waiting));
  }
}

const CLOSED = 'the connection to the database is closed';
const BUSY = `its row was locked by another session for ${PATIENCE_MS} ms`;
