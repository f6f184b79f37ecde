import type { Call, Effect } from '../ledger.js';
import { SHAPES, type Scenario, type Shape, type ShapeStep } from '../scenarios.js';

export interface JournalRow {
  readonly seq: number;
  readonly epoch: number;
  readonly kind: string;
  readonly step: string | null;
  /** Steps that start because of it. */
  readonly launch: readonly string[];
  /** JSON text of what failed; null of everything else. */
  readonly data: string | null;
  /** Milliseconds, by the clock of the server, which is also that of effects and calls. */
  readonly at: number;
}

/** Everything that is known of one saga when nothing runs any more. */
export interface SagaRecord {
  readonly scenario: Scenario;
  readonly status: string;
  /** JSON text. */
  readonly error: string | null;
  /** Steps that its first row launched. */
  readonly launch: readonly string[];
  readonly journal: readonly JournalRow[];
  /** Of both databases, by time. */
  readonly effects: readonly Effect[];
  /** Handlers that were called, whatever came of it, by time. */
  readonly calls: readonly Call[];
  /** Types of its events in the outbox. */
  readonly events: readonly string[];
}

/** What a record breaks of one rule, in words. */
export type Rule = (record: SagaRecord) => readonly string[];

export const KIND = {
  completed: 'step_completed',
  failed: 'step_failed',
  late: 'late_completed',
  turned: 'compensating',
  undone: 'undo_completed',
  undoFailed: 'undo_failed',
} as const;

export function stepsOf({ scenario }: SagaRecord): readonly (readonly [string, ShapeStep])[] {
  return Object.entries<ShapeStep>(SHAPES[scenario.shape]);
}

/** Steps on which a step depends, near and far. */
export function before(shape: Shape, step: string): readonly string[] {
  const { after = [] } = shape[step] ?? {};
  return [...new Set(after.flatMap((name) => [name, ...before(shape, name)]))];
}

/** What was done for a step: its effects, or its calls. */
export function ofStep<T extends Effect>(done: readonly T[], step: string, kind: Effect['kind']): T[] {
  return done.filter((it) => it.step === step && it.kind === kind);
}

export function entriesOf({ journal }: SagaRecord, step: string, ...kinds: string[]): JournalRow[] {
  return journal.filter((entry) => entry.step === step && kinds.includes(entry.kind));
}

/** The entry that turned the saga to its compensation. */
export function turnOf({ journal }: SagaRecord): JournalRow | undefined {
  return journal.find(({ kind }) => kind === KIND.failed || kind === KIND.turned);
}

export interface Failure {
  readonly code?: string;
  readonly outcome?: string;
}

export function failureIn({ data }: JournalRow): Failure {
  return (JSON.parse(data ?? '{}') ?? {}) as Failure;
}
