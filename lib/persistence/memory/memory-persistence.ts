import type { Clock } from '../../runtime/clock.js';
import type { Persistence } from '../persistence.js';
import { MemoryDatabase } from './memory-database.js';
import { MemoryBarrierStorage } from './memory-barrier-storage.js';
import { MemoryInboxStorage } from './memory-inbox-storage.js';
import { MemoryInterventionStorage } from './memory-intervention-storage.js';
import { MemoryOutboxSignal } from './memory-outbox-signal.js';
import { MemoryOutboxStorage } from './memory-outbox-storage.js';
import { MemoryRetryStorage } from './memory-retry-storage.js';
import { MemorySagaStorage } from './memory-saga-storage.js';
import { MemorySuspectStorage } from './memory-suspect-storage.js';
import { MemoryWorkerStorage } from './memory-worker-storage.js';

export function memoryPersistence(clock: Clock): Persistence<undefined> {
  const database = new MemoryDatabase();
  const sagas = new MemorySagaStorage(database, clock);
  return {
    sagas,
    interventions: new MemoryInterventionStorage(database, sagas, clock),
    workers: new MemoryWorkerStorage(database, clock),
    outbox: new MemoryOutboxStorage(database, clock),
    signal: new MemoryOutboxSignal(),
    retries: new MemoryRetryStorage(database, clock),
    inbox: new MemoryInboxStorage(clock),
    barrier: new MemoryBarrierStorage(clock),
    suspects: new MemorySuspectStorage(),
    description: 'memory (lost when the process ends)',
    open: () => Promise.resolve(),
    check: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
}
