import type { EntityManager } from 'typeorm';
import type { Persistence } from '../../lib/persistence/persistence.js';
import { typeOrmPersistence } from '../../lib/persistence/typeorm/typeorm-persistence.js';
import { describeWith } from '../support/requirement.js';
import { applicationDatabase, type ApplicationDatabase } from '../support/test-data-source.js';
import { barrierStorageContract } from './barrier-storage.contract.js';
import { inboxStorageContract } from './inbox-storage.contract.js';
import { interventionStorageContract, type InterventionsUnderTest } from './intervention-storage.contract.js';
import { outboxStorageContract } from './outbox-storage.contract.js';
import { retryStorageContract } from './retry-storage.contract.js';
import { sagaControlContract } from './saga-control.contract.js';
import { sagaKeepingContract } from './saga-keeping.contract.js';
import { sagaListContract } from './saga-list.contract.js';
import { sagaSignalContract } from './saga-signal.contract.js';
import { sagaStorageContract } from './saga-storage.contract.js';

describeWith('postgres', 'TypeORM storage', () => {
  let database: ApplicationDatabase;
  let persistence: Persistence<EntityManager>;
  const storage = () => persistence as unknown as InterventionsUnderTest;

  beforeAll(async () => {
    database = await applicationDatabase();
    persistence = typeOrmPersistence(database.dataSource, { schema: 'sagas', migrations: 'run' });
    await persistence.open();
  });

  afterAll(async () => {
    await persistence.close();
    await database.close();
  });

  describe('of sagas', () => {
    it.each([
      ...sagaStorageContract,
      ...sagaControlContract,
      ...sagaListContract,
      ...sagaSignalContract,
      ...sagaKeepingContract,
    ])('$name', ({ run }) => run(storage()));
  });

  describe('of interventions', () => {
    it.each(interventionStorageContract)('$name', ({ run }) => run(storage()));
  });

  describe('of the inbox', () => {
    it.each(inboxStorageContract)('$name', ({ run }) => run(persistence));
    it.each(barrierStorageContract)('barrier $name', ({ run }) => run(persistence));
  });

  describe('of the outbox', () => {
    it.each([...outboxStorageContract, ...retryStorageContract])('$name', ({ run }) => run(storage()));
  });
});
