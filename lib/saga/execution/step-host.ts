import type { OutboxRecord } from '../../events/outbox-event.js';
import type { Clock } from '../../runtime/clock.js';
import type { Log } from '../../runtime/log.js';
import type { SagaDefinition, StepDefinition } from '../definition/saga-definition.js';
import type { SagaStorage, SagaWrite } from '../saga-storage.js';
import type { JournalEntry } from '../state/journal.js';
import type { ContextFactory } from './context-factory.js';
import type { SagaState } from './saga-state.js';

/** Something that happened, to be written to the journal. */
export interface Fact extends Pick<JournalEntry, 'kind' | 'step' | 'attempt' | 'data'> {
  /** Become visible with the entry. */
  readonly events: readonly OutboxRecord[];
}

/** What a step needs of the saga it belongs to. */
export interface StepHost {
  readonly definition: SagaDefinition;
  readonly storage: SagaStorage;
  readonly contexts: ContextFactory;
  readonly clock: Clock;
  readonly log: Log;
  readonly maxResultBytes: number;
  /** Named in log lines. */
  readonly title: string;
  state(): SagaState;
  /**
   * Aborts at the drain and after a fault of the storage. From then on nothing begins, back-offs end, and an error of
   * a running handler is no attempt: its client may have been closed.
   */
  readonly halting: AbortSignal;
  /** @throws FencedError when the lease of this process has run out: somebody else may run the saga */
  requireLease(): void;
  /** Resolves when the action of a process that was lost can no longer be under way, or when the saga halts. */
  awaitLostAction(step: StepDefinition): Promise<void>;
  /** Tells the host that a handler of a step was called, and when it has settled. */
  handlerCalled(step: string, settled: Promise<unknown>): void;
  /** Makes facts durable; resolves when they are. @param store how, when not by an ordinary write */
  record(facts: readonly Fact[], store?: (write: SagaWrite) => Promise<void>): Promise<void>;
}
