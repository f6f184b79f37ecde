import type { FailureRecord, JournalEntry, JournalKind } from '../saga/state/journal.js';

/** One thing that happened to a saga. */
export interface SagaMoment {
  /** By the clock of the storage. */
  readonly at: Date;
  /** In words. */
  readonly what: string;
  readonly step?: string;
  /** 1 for the first. */
  readonly attempt?: number;
  /** Of a failure: what is known of the effect, the code of the error and what it says. */
  readonly outcome?: string;
  readonly code?: string;
  readonly message?: string;
  /** Steps that were started because of it. */
  readonly launched: readonly string[];
  /** Number of the claim under which it was written: it grows with every process that takes the saga. */
  readonly epoch: number;
}

const WORDS: Readonly<Record<JournalKind, string>> = {
  resumed: 'taken over',
  released: 'let go of',
  probed: 'probe answered',
  timer_fired: 'delay over',
  signal_received: 'signal received',
  step_completed: 'step completed',
  step_retrying: 'step failed, tried again later',
  step_failed: 'step failed',
  late_completed: 'late result of a step',
  compensating: 'turned back',
  undo_completed: 'undo completed',
  undo_retrying: 'undo failed, tried again later',
  undo_failed: 'undo gave up',
};

/** Kinds whose data is a failure; that of the others is what a step returned, or of no use to people. */
const FAILURES: ReadonlySet<JournalKind> = new Set([
  'step_retrying',
  'step_failed',
  'compensating',
  'undo_retrying',
  'undo_failed',
]);

export function momentOf({ kind, step, attempt, data, launch, epoch, at }: JournalEntry): SagaMoment {
  const failure = FAILURES.has(kind) ? (JSON.parse(data ?? '{}') as Partial<FailureRecord>) : {};
  const { code, message, outcome } = failure;
  return {
    at: at ?? new Date(NaN),
    what: WORDS[kind],
    ...(step !== null && { step }),
    ...(attempt > 0 && { attempt }),
    ...(outcome !== undefined && { outcome }),
    ...(code !== undefined && { code }),
    ...(message !== undefined && { message }),
    launched: launch,
    epoch,
  };
}
