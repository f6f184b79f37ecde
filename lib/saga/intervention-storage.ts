import type { CancelAnswer } from './saga-storage.js';
import type { AuditFacts, AuditFilter, AuditRecord, NewAudit } from './state/audit.js';
import type { JournalEntry } from './state/journal.js';
import type { SagaStatus } from './state/saga-status.js';

/** A change of one saga from outside, decided on what was read of it. */
export interface Intervention {
  readonly sagaId: string;
  /** What was read: the change is stored only if nothing of it has moved. */
  readonly seen: { readonly epoch: number; readonly status: SagaStatus; readonly seq: number };
  /** Behind the last entry that was seen, under the next epoch. */
  readonly entries: readonly Pick<JournalEntry, 'kind' | 'step' | 'data'>[];
  /** What the saga is then: nobody's, and to be claimed by any worker, unless it is parked. */
  readonly status: SagaStatus;
  /** The pivot counts as launched. */
  readonly launchesPivot: boolean;
  readonly audit: NewAudit & { readonly before: AuditFacts; readonly after: AuditFacts };
}

/** What became of an operator's request to cancel, and what the saga was when it came. */
export type CancelOutcome =
  | { readonly answer: 'not_found' }
  | { readonly answer: Exclude<CancelAnswer, 'not_found'>; readonly before: SagaStatus };

/**
 * Changes of sagas by operators, each with its note in the audit: both or neither. What is *not* here: whether the state
 * of the saga allows it (`decide` does), and running anything.
 * Implementations pass the intervention storage contract.
 */
export abstract class InterventionStorage {
  /**
   * Takes the saga from whoever owns it, with epoch + 1, and stores the entries: that owner can write nothing any more.
   * @returns false, with nothing stored, when the saga has moved since it was read, or a cancel was requested of one whose
   * pivot it launches: one row decides between the two
   */
  abstract intervene(intervention: Intervention): Promise<boolean>;

  /** Asks for a saga to be cancelled, as `SagaStorage.requestCancel` does. Noted only when nobody had asked before. */
  abstract cancel(sagaId: string, audit: NewAudit): Promise<CancelOutcome>;

  /** The latest first. */
  abstract audits(filter: AuditFilter, limit: number): Promise<readonly AuditRecord[]>;
}

/** What the audit says of a request to cancel: until the owner hears of it, the saga is what it was. */
export function factsOfCancel({ status, epoch }: { readonly status: SagaStatus; readonly epoch: number }) {
  const before = { status, epoch };
  return { before, after: { ...before, cancel: 'requested' } };
}
