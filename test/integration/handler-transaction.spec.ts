import { DataSource, QueryFailedError, type EntityManager } from 'typeorm';
import { uuidV7 } from '../../lib/events/uuid-v7.js';
import { TransactionRequiredError } from '../../lib/index.js';
import { typeOrmPersistence } from '../../lib/persistence/typeorm/typeorm-persistence.js';
import type { Persistence } from '../../lib/persistence/persistence.js';
import { Deferred } from '../../lib/runtime/deferred.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { describeWith } from '../support/requirement.js';
import { until } from '../support/until.js';

const RULES = { windowMs: 86_400_000, processesExpired: false };
const messageOf = (messageId: string) => ({ consumer: 'billing', messageId, stamp: new Date() });
const commandOf = (step: string) => ({ sagaId: uuidV7(), step, sagaStartedAt: new Date() });

const bill = (manager: EntityManager, id: number) => manager.query('INSERT INTO bill VALUES ($1)', [id]);
/** Takes a fault of the database for an answer. */
const billAnyway = async (manager: EntityManager, id: number) => {
  await bill(manager, id).catch(() => undefined);
};

describeWith('postgres', 'what the handler of a message writes', () => {
  let database: TestDatabase;
  let dataSource: DataSource;
  let persistence: Persistence<EntityManager>;

  /** @param extra options of pg */
  async function open(extra: Readonly<Record<string, unknown>> = {}): Promise<void> {
    database = await createDatabase();
    dataSource = await new DataSource({ type: 'postgres', url: database.url, extra }).initialize();
    persistence = typeOrmPersistence(dataSource, { schema: 'sagas', migrations: 'run' });
    await persistence.open();
    await dataSource.query('CREATE TABLE bill (id int PRIMARY KEY)');
  }

  afterEach(async () => {
    await persistence.close();
    await dataSource.destroy();
    await database.drop();
  });

  const bills = async () => {
    const rows = await dataSource.query<{ id: number }[]>('SELECT id FROM bill ORDER BY id');
    return rows.map(({ id }) => id);
  };

  it('is not taken for processed when PostgreSQL rolled it back, because the handler caught the error of a statement', async () => {
    await open();
    await dataSource.query('INSERT INTO bill VALUES (1)');
    const work = async (manager: EntityManager) => {
      await bill(manager, 2);
      await billAnyway(manager, 1);
    };
    const rolledBack = /PostgreSQL rolled the transaction back/;
    await expect(persistence.inbox.process(messageOf('a'), RULES, work)).rejects.toThrow(rolledBack);
    await expect(persistence.barrier.action(commandOf('charge'), work)).rejects.toThrow(rolledBack);
    expect(await bills()).toEqual([1]);
    const again = await persistence.inbox.process(messageOf('a'), RULES, (manager) => bill(manager, 2));
    expect(again.status).toBe('processed');
    expect(await bills()).toEqual([1, 2]);
  });

  it('is in its transaction or nowhere: what a handler that failed has left running cannot write on its own', async () => {
    await open();
    const left = new Deferred<unknown>();
    const work = async (manager: EntityManager) => {
      const writing = manager.query('SELECT pg_sleep(0.05)').then(() => bill(manager, 1));
      left.resolve(writing.catch((error: unknown) => error));
      await Promise.all([writing, Promise.reject(new Error('no paper'))]);
    };
    await expect(persistence.inbox.process(messageOf('a'), RULES, work)).rejects.toThrow('no paper');
    expect(await left.promise).toBeInstanceOf(TransactionRequiredError);
    expect(await bills()).toEqual([]);
  });

  it('is not committed by the next message when a statement of it took longer than the pool waits', async () => {
    await open({ query_timeout: 1_000, max: 1 });
    const halfway = async (manager: EntityManager) => {
      await bill(manager, 1);
      await manager.query('SELECT pg_sleep(2.5)');
    };
    await expect(persistence.inbox.process(messageOf('a'), RULES, halfway)).rejects.toThrow('timeout');
    await persistence.inbox.process(messageOf('b'), RULES, (manager) => bill(manager, 2));
    expect(await bills()).toEqual([2]);
    const again = await persistence.inbox.process(messageOf('a'), RULES, (manager) => bill(manager, 1));
    expect(again.status).toBe('processed');
  });

  it('joins what a barrier in it writes: one connection, and one commit', async () => {
    await open({ max: 1, connectionTimeoutMillis: 2_000 });
    const { inbox, barrier } = persistence;
    const command = commandOf('charge');
    const charge = () => barrier.action(command, (manager) => bill(manager, 1));
    const failing = async () => {
      await charge();
      throw new Error('no paper');
    };
    await expect(inbox.process(messageOf('a'), RULES, failing)).rejects.toThrow('no paper');
    expect(await bills()).toEqual([]);
    const processed = await inbox.process(messageOf('a'), RULES, charge);
    expect(processed).toMatchObject({ status: 'processed', value: { status: 'done' } });
    expect(await bills()).toEqual([1]);
  });

  it('may go on after a barrier in it that failed', async () => {
    await open();
    const { inbox, barrier } = persistence;
    const work = async (outer: EntityManager) => {
      const failing = (manager: EntityManager) => bill(manager, 1).then(() => bill(manager, 1));
      await barrier.action(commandOf('charge'), failing).catch(() => undefined);
      await bill(outer, 2);
    };
    expect(await inbox.process(messageOf('a'), RULES, work)).toMatchObject({ status: 'processed' });
    expect(await bills()).toEqual([2]);
  });

  it('keeps the barriers apart that it enters at once: one that fails takes nothing of another with it', async () => {
    await open();
    await dataSource.query('INSERT INTO bill VALUES (1)');
    const { inbox, barrier } = persistence;
    const both = (ids: readonly number[]) => async () => {
      const done = await Promise.allSettled(
        ids.map((id) => barrier.action(commandOf('charge'), (manager) => bill(manager, id))),
      );
      return done.map(({ status }) => status);
    };
    expect(await inbox.process(messageOf('a'), RULES, both([2, 1, 3]))).toMatchObject({
      value: ['fulfilled', 'rejected', 'fulfilled'],
    });
    expect(await bills()).toEqual([1, 2, 3]);
  });

  it('may have a barrier in a barrier', async () => {
    await open({ max: 1, connectionTimeoutMillis: 2_000 });
    const { inbox, barrier } = persistence;
    const work = () =>
      barrier.action(commandOf('outer'), () =>
        barrier.action(commandOf('inner'), (manager) => bill(manager, 1)),
      );
    expect(await inbox.process(messageOf('a'), RULES, work)).toMatchObject({ status: 'processed' });
    expect(await bills()).toEqual([1]);
  });

  it('is nothing at all when it goes on after its transaction has ended, and not what came after that', async () => {
    await open();
    await dataSource.query('INSERT INTO bill VALUES (1)');
    const { inbox, barrier } = persistence;
    const work = async (manager: EntityManager) => {
      await billAnyway(manager, 1);
      // TypeORM answers a savepoint that is refused with a ROLLBACK of the whole.
      await barrier.action(commandOf('charge'), (nested) => bill(nested, 2)).catch(() => undefined);
      await billAnyway(manager, 3);
      await barrier.action(commandOf('mail'), (nested) => bill(nested, 4)).catch(() => undefined);
    };
    await expect(inbox.process(messageOf('a'), RULES, work)).rejects.toBeInstanceOf(TransactionRequiredError);
    expect(await bills()).toEqual([1]);
  });

  it('is as it was when PostgreSQL refuses the COMMIT, with the error that TypeORM has for that', async () => {
    await open();
    await dataSource.query('CREATE TABLE paid (bill int REFERENCES bill DEFERRABLE INITIALLY DEFERRED)');
    const work = (manager: EntityManager) => manager.query('INSERT INTO paid VALUES (7)');
    const refused = persistence.inbox.process(messageOf('a'), RULES, work);
    await expect(refused).rejects.toBeInstanceOf(QueryFailedError);
    await expect(refused).rejects.toMatchObject({ driverError: { code: '23503' } });
    expect(await dataSource.query('SELECT 1 FROM paid')).toEqual([]);
  });

  it('is rolled back with outbox.transaction too, and its caller told, when an error was caught in it', async () => {
    await open();
    await dataSource.query('INSERT INTO bill VALUES (1)');
    const work = async (manager: EntityManager) => {
      await persistence.barrier.action(commandOf('charge'), (nested) => bill(nested, 2));
      await billAnyway(manager, 1);
    };
    await expect(persistence.outbox.transaction(work)).rejects.toThrow(
      'PostgreSQL rolled the transaction back',
    );
    expect(await bills()).toEqual([1]);
  });

  it('is nothing when statements go out while its transaction is being ended', async () => {
    await open();
    await dataSource.query('INSERT INTO bill VALUES (1)');
    const work = async (manager: EntityManager) => {
      const others = async () => {
        for (let id = 3; id < 12; id++) await billAnyway(manager, id);
      };
      // The savepoint is refused, which TypeORM answers with a ROLLBACK; the others do not wait for that.
      const nested = manager.transaction((inner) => bill(inner, 2));
      await Promise.allSettled([billAnyway(manager, 1), nested, others()]);
    };
    await expect(persistence.inbox.process(messageOf('a'), RULES, work)).rejects.toThrow();
    expect(await bills()).toEqual([1]);
  });

  it('is known to be nothing when its connection is gone before the COMMIT', async () => {
    await open();
    const slow = async (manager: EntityManager) => {
      await manager.query('SET LOCAL idle_in_transaction_session_timeout = 20');
      await bill(manager, 1);
      await until(() => manager.queryRunner?.isReleased === true);
    };
    await expect(persistence.inbox.process(messageOf('a'), RULES, slow)).rejects.toThrow(
      'the connection was lost before COMMIT',
    );
    expect(await bills()).toEqual([]);
  });
});
