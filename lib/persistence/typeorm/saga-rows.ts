import type { ClaimedSaga, ListedSaga, SagaRow } from '../../saga/saga-storage.js';
import type { JournalEntry } from '../../saga/state/journal.js';

export function headersOf(text: string | null | undefined): ClaimedSaga['headers'] {
  return text ? (JSON.parse(text) as Record<string, string>) : undefined;
}

/** A bigint comes as a text. */
type Stored<T extends ListedSaga> = Omit<T, 'epoch'> & { readonly epoch: string };
export type StoredRow = Stored<SagaRow>;
export type StoredListed = Stored<ListedSaga>;

/** Whatever types the application has set for timestamps. */
export function withDates<T extends StoredListed>(row: T): Omit<T, 'epoch'> & { readonly epoch: number } {
  const epoch = Number(row.epoch);
  return { ...row, epoch, startedAt: new Date(row.startedAt), endedAt: row.endedAt && new Date(row.endedAt) };
}

export interface JournalRow extends Omit<JournalEntry, 'epoch' | 'ageMs' | 'at'> {
  readonly atMs: number;
  readonly sagaId: string;
  readonly epoch: string;
  readonly ageMs: string;
}

export interface SignalRow {
  readonly accepted: boolean;
  readonly early: boolean;
  readonly known: boolean;
}

export interface ClaimedRow extends Omit<
  ClaimedSaga,
  'epoch' | 'ageMs' | 'silentMs' | 'deadlineInMs' | 'input' | 'headers' | 'journal' | 'signals'
> {
  readonly signalSeq: number;
  readonly epoch: string;
  readonly ageMs: string;
  readonly silentMs: string | null;
  readonly deadlineInMs: string | null;
}
