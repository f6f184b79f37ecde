import type { OutboxRecord } from '../../events/outbox-event.js';
import type { Appended, SagaWrite } from '../saga-storage.js';
import type { JournalEntry } from '../state/journal.js';

/** Something that happened, to be written to the journal. */
export interface Fact extends Pick<JournalEntry, 'kind' | 'step' | 'attempt' | 'data'> {
  /** Become visible with the entry. */
  readonly events: readonly OutboxRecord[];
  /** How long the attempt took, for telemetry. */
  readonly durationMs?: number;
}

/** How a write is stored, when not by an ordinary append. */
export type Store = (write: SagaWrite) => Promise<Appended>;
