import type { BarrierStorage } from '../inbox/barrier-storage.js';
import type { InboxStorage } from '../inbox/inbox-storage.js';
import type { OutboxSignal } from '../outbox/outbox-signal.js';
import type { OutboxStorage } from '../outbox/outbox-storage.js';
import type { RetryStorage } from '../outbox/retry-storage.js';
import type { SuspectStorage } from '../outbox/suspect-storage.js';
import type { Telemetry } from '../runtime/telemetry.js';
import type { InterventionStorage } from '../saga/intervention-storage.js';
import type { SagaStorage } from '../saga/saga-storage.js';
import type { WorkerStorage } from '../saga/worker-storage.js';

/** Where one application keeps its sagas and events. */
export interface Persistence<Tx = unknown> {
  readonly sagas: SagaStorage<Tx>;
  readonly workers: WorkerStorage;
  readonly outbox: OutboxStorage<Tx>;
  readonly retries: RetryStorage;
  readonly suspects: SuspectStorage;
  readonly interventions: InterventionStorage;
  readonly signal: OutboxSignal;
  readonly inbox: InboxStorage<Tx>;
  readonly barrier: BarrierStorage<Tx>;
  /** For the start-up line: never with credentials. */
  readonly description: string;
  /** Connects; applies or checks the schema. From then on it tells what it does. */
  open(telemetry?: Telemetry): Promise<void>;
  /** Costs a statement or two. @throws what is wrong: it cannot be reached, is a standby, or its schema is not this version's */
  check(): Promise<void>;
  close(): Promise<void>;
}
