import type { OutboxNumbers } from '../outbox/outbox-storage.js';
import type { Tracing } from '../runtime/tracing.js';
import type { SagaNumbers, StrandedSagas } from '../saga/saga-storage.js';

/** What may be looked at of one application: the runtime, by shape. */
export interface Observed {
  /** Its telemetry events carry this id; channels belong to the process. */
  readonly workerId: string;
  /** Names of the destinations of events. */
  readonly destinations: readonly string[];
  /** Sagas that run in this process, by name. */
  readonly running: ReadonlyMap<string, number>;
  /** Counted for the whole cluster by one of its processes; undefined in all others. */
  readonly outboxNumbers: OutboxNumbers | undefined;
  readonly sagaNumbers: SagaNumbers | undefined;
  readonly stranded: readonly StrandedSagas[] | undefined;
  readonly tracing: Tracing;
  /** @throws what is wrong with the storage: that it cannot be reached, or that its schema is not that of this version */
  checkStorage(): Promise<void>;
  /** @throws what is wrong with a destination */
  pingDestination(name: string): Promise<void>;
}
