import { memoryPersistence } from '../../lib/persistence/memory/memory-persistence.js';
import { systemClock } from '../../lib/runtime/clock.js';
import { barrierStorageContract } from './barrier-storage.contract.js';
import { inboxStorageContract } from './inbox-storage.contract.js';
import { interventionStorageContract } from './intervention-storage.contract.js';
import { outboxStorageContract } from './outbox-storage.contract.js';
import { retryStorageContract } from './retry-storage.contract.js';
import { sagaControlContract } from './saga-control.contract.js';
import { sagaKeepingContract } from './saga-keeping.contract.js';
import { sagaListContract } from './saga-list.contract.js';
import { sagaSignalContract } from './saga-signal.contract.js';
import { sagaStorageContract } from './saga-storage.contract.js';

const storage = memoryPersistence(systemClock);

describe('memory saga storage', () => {
  it.each([
    ...sagaStorageContract,
    ...sagaControlContract,
    ...sagaListContract,
    ...sagaSignalContract,
    ...sagaKeepingContract,
  ])('$name', ({ run }) => run(storage));
});

describe('memory storage of interventions', () => {
  it.each(interventionStorageContract)('$name', ({ run }) => run(storage));
});

describe('memory outbox storage', () => {
  it.each([...outboxStorageContract, ...retryStorageContract])('$name', ({ run }) => run(storage));
});

describe('memory inbox storage', () => {
  it.each(inboxStorageContract)('$name', ({ run }) => run(storage));
  it.each(barrierStorageContract)('barrier $name', ({ run }) => run(storage));
});
