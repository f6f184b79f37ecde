import type { Outcome } from './step-status.js';

/** What a journal entry tells. */
export type JournalKind =
  | 'resumed'
  | 'released'
  | 'probed'
  | 'timer_fired'
  | 'signal_received'
  | 'step_completed'
  | 'step_retrying'
  | 'step_failed'
  | 'late_completed'
  | 'compensating'
  | 'undo_completed'
  | 'undo_retrying'
  | 'undo_failed'
  | OperatorKind;

/** What an operator had done: written by no owner of the saga, but under an epoch of its own. */
export type OperatorKind = 'step_retried' | 'step_skipped' | 'undo_retried' | 'undo_resolved' | 'unparked';

/** One durable fact of a saga. Append-only; (sagaId, seq) is its identity, so that a write may be repeated. */
export interface JournalEntry {
  readonly seq: number;
  readonly epoch: number;
  readonly kind: JournalKind;
  /** Null for facts of the saga as a whole. */
  readonly step: string | null;
  readonly attempt: number;
  /** Steps that start because of this entry. A step starts only when its launch is durable. */
  readonly launch: readonly string[];
  /**
   * JSON text: the result of a completed step, the {@link FailureRecord} of a failure, the {@link PauseRecord} of a
   * long back-off, the {@link UndoneRecord} of an undo, the {@link ResumeRecord} of a takeover,
   * the {@link SignalRecord} of a signal, the {@link OperatorRecord} of an operator.
   */
  readonly data: string | null;
  /** Milliseconds since it was written, and when that was, by the clock of the storage. Only on entries that were read. */
  readonly ageMs?: number;
  readonly at?: Date;
}

/** A failed attempt that is followed by another one, after a pause that no process needs to sit through. */
export interface PauseRecord extends FailureRecord {
  readonly delayMs: number;
  /** Milliseconds from the beginning of the first attempt to the end of this one. */
  readonly elapsedMs: number;
}

/** What the owner that took over says: how many before it died in a row while they ran the saga. */
export interface ResumeRecord {
  readonly deaths: number;
}

/** The signal that a step waited for. */
export interface SignalRecord {
  readonly id: string;
  readonly payload: unknown;
}

/** How an undo ended: `lates` counts the late results of its step that it knew of. */
export interface UndoneRecord {
  readonly lates: number;
}

/** Who had it done, and why. */
export interface OperatorRecord {
  readonly actor: string;
  readonly reason: string | null;
}

/** What a process that let go of a saga says of the steps it had launched. */
export interface ReleaseRecord {
  /** Were not begun. */
  readonly unrun: readonly string[];
  /** Ended in an error while the process was shutting down, which is no attempt. */
  readonly cut: readonly string[];
}

/** What is kept of an error. No stack and no cause: both may hold secrets. */
export interface FailureRecord {
  readonly code: string;
  readonly message: string;
  readonly step?: string;
  /** Of a failed step: what is known of its effect. */
  readonly outcome?: Outcome;
}

const MAX_MESSAGE = 2_000;

/** Code and message of whatever was thrown. `code` is the error's own when it is a text, else `ERROR`. */
export function failureOf(error: unknown, step?: string): FailureRecord {
  const message = (error instanceof Error ? error.message : String(error)).slice(0, MAX_MESSAGE);
  const own = error instanceof Error ? (error as { code?: unknown }).code : undefined;
  const code = typeof own === 'string' ? own : 'ERROR';
  // What PostgreSQL cannot store in a text is not worth losing the record for.
  const clean = message.replaceAll('\u0000', '').toWellFormed();
  return { code, message: clean, ...(step !== undefined && { step }) };
}
