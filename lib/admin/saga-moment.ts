import type {
  FailureRecord,
  JournalEntry,
  JournalKind,
  OperatorKind,
  OperatorRecord,
} from '../saga/state/journal.js';

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
  /** Of what an operator had done: who, and in `message` why. */
  readonly actor?: string;
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
  step_retried: 'step to be tried again, by an operator',
  step_skipped: 'step skipped by an operator',
  undo_retried: 'undo to be tried again, by an operator',
  undo_resolved: 'undone by an operator by hand',
  unparked: 'let run again by an operator',
};

/** Kinds whose data is a failure; that of the others is what a step returned, or of no use to people. */
const FAILURES: ReadonlySet<JournalKind> = new Set([
  'step_retrying',
  'step_failed',
  'compensating',
  'undo_retrying',
  'undo_failed',
]);
const OPERATED: ReadonlySet<JournalKind> = new Set<OperatorKind>([
  'step_retried',
  'step_skipped',
  'undo_retried',
  'undo_resolved',
  'unparked',
]);

type Told = Partial<FailureRecord & OperatorRecord>;

export function momentOf({ kind, step, attempt, data, launch, epoch, at }: JournalEntry): SagaMoment {
  const told = FAILURES.has(kind) || OPERATED.has(kind) ? (JSON.parse(data ?? '{}') as Told) : {};
  const { code, outcome, actor, message = told.reason } = told;
  const shown = { step, attempt: attempt || undefined, outcome, code, message, actor };
  const given = Object.entries(shown).filter(([, value]) => value !== undefined && value !== null);
  const moment = { at: at ?? new Date(NaN), what: WORDS[kind], launched: launch, epoch };
  return { ...moment, ...(Object.fromEntries(given) as Partial<SagaMoment>) };
}
