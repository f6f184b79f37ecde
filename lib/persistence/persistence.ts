import type { OutboxStorage } from '../outbox/outbox-storage.js';
import type { SagaStorage } from '../saga/saga-storage.js';

/** Where one application keeps its sagas and events. */
export interface Persistence<Tx = unknown> {
  readonly sagas: SagaStorage<Tx>;
  readonly outbox: OutboxStorage<Tx>;
  /** For the start-up line: never with credentials. */
  readonly description: string;
  /** Connects; applies or checks the schema. */
  open(): Promise<void>;
  close(): Promise<void>;
}
