import 'reflect-metadata';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Inject, Injectable, Module, type INestApplicationContext, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { getDataSourceToken, TypeOrmModule } from '@nestjs/typeorm';
import { DataSource, type EntityManager } from 'typeorm';
import {
  addTransactionalDataSource,
  initializeTransactionalContext,
  StorageDriver,
  Transactional,
} from 'typeorm-transactional';
import { InMemoryBroker, Outbox, SagazModule, TransactionRequiredError } from '../../lib/index.js';
import { describeWith } from '../support/requirement.js';
import { applicationDatabase, type ApplicationDatabase } from '../support/test-data-source.js';
import { until } from '../support/until.js';

/** So slow that nothing is relayed in time by looking, and no other process tells of it. */
const NO_LOOKS = { pollInterval: '1m', maxPollInterval: '1m', notify: false } as const;

interface ClsMessage {
  readonly place?: number;
  readonly outcome?: string;
  readonly heard?: number;
}

@Injectable()
class Orders {
  constructor(
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(getDataSourceToken()) private readonly dataSource: DataSource,
  ) {}

  @Transactional()
  async place(id: number, fails = false): Promise<void> {
    await this.dataSource.manager.query('INSERT INTO placed VALUES ($1)', [id]);
    await this.outbox.publish({ type: 'order.placed', payload: id });
    if (fails) throw new Error('changed my mind');
  }
}

/** Transactions that another library keeps in the asynchronous context. */
describeWith('postgres', 'outbox.publish joins the transaction', () => {
  let database: ApplicationDatabase;
  let app: INestApplicationContext | undefined;
  let broker: InMemoryBroker;
  let heard: string[];

  beforeEach(async () => {
    database = await applicationDatabase();
    await database.dataSource.query('CREATE TABLE placed (id int)');
    broker = new InMemoryBroker();
    heard = [];
    broker.subscribe(({ payload }) => Promise.resolve(void heard.push(payload)));
  });
  afterEach(async () => {
    await app?.close();
    await database.close();
  });

  const placed = async () =>
    (await database.dataSource.query<{ id: number }[]>('SELECT id FROM placed')).map(({ id }) => id);

  async function check(orders: Orders, outbox: Outbox): Promise<void> {
    await orders.place(1);
    await until(() => heard.length === 1);
    await expect(orders.place(2, true)).rejects.toThrow('changed my mind');
    await Promise.all([orders.place(3), orders.place(4, true).catch(() => undefined)]);
    await until(() => heard.length === 2);
    expect([heard, await placed()]).toEqual([
      ['1', '3'],
      [1, 3],
    ]);
    await expect(outbox.publish({ type: 'order.placed' })).rejects.toBeInstanceOf(TransactionRequiredError);
  }

  const sagaz = (resolveManager: () => EntityManager | undefined) =>
    SagazModule.forRoot({ broker, outbox: NO_LOOKS, resolveManager, worker: { lease: '1s' } });

  async function start(module: Type): Promise<INestApplicationContext> {
    app = await NestFactory.createApplicationContext(module, { logger: false });
    return app;
  }

  it('of typeorm-transactional, and the relay is told when it commits', async () => {
    initializeTransactionalContext({ storageDriver: StorageDriver.ASYNC_LOCAL_STORAGE });
    let application: DataSource | undefined;

    @Module({
      imports: [
        TypeOrmModule.forRootAsync({
          useFactory: () => ({ type: 'postgres', url: database.url }),
          dataSourceFactory: async (options) => {
            if (!options) throw new Error('there are options');
            application = addTransactionalDataSource(new DataSource(options));
            return application;
          },
        }),
        sagaz(() => application?.manager),
      ],
      providers: [Orders],
    })
    class RootModule {}

    const context = await start(RootModule);
    await check(context.get(Orders), context.get(Outbox));
  });

  it('of nestjs-cls, and the relay is told when it commits', async () => {
    const env = { ...process.env, DATABASE_URL: database.url };
    const child = fork('test/integration/programs/nestjs-cls.mjs', { env });
    const said: ClsMessage[] = [];
    child.on('message', (message: ClsMessage) => said.push(message));
    await until(() => said.length === 1);
    for (const [place, fails] of [
      [1, false],
      [2, true],
      [3, false],
    ] as const)
      child.send({ place, fails });
    await until(() => said.length === 6);
    const outcomes = said.flatMap(({ place, outcome }) => (outcome === undefined ? [] : [[place, outcome]]));
    expect(outcomes.toSorted()).toEqual([
      [1, 'placed'],
      [2, 'changed my mind'],
      [3, 'placed'],
    ]);
    expect(said.flatMap(({ heard: id }) => id ?? []).toSorted()).toEqual([1, 3]);
    expect((await placed()).toSorted()).toEqual([1, 3]);
    child.disconnect();
    await once(child, 'exit');
  });

  it('in a process without HTTP that only relays, of one that only writes', async () => {
    const postgres = () => TypeOrmModule.forRoot({ type: 'postgres', url: database.url });

    @Module({ imports: [postgres(), SagazModule.forRoot({ broker, worker: { sagas: false, lease: '1s' } })] })
    class WorkerModule {}

    @Module({ imports: [postgres(), SagazModule.forRoot({ worker: false })] })
    class ApiModule {}

    const worker = await start(WorkerModule);
    const api = await NestFactory.createApplicationContext(ApiModule, { logger: false });
    const outbox = api.get(Outbox);
    await outbox.transaction(() => outbox.publish({ type: 'order.placed', payload: 7 }));
    await until(() => heard.length === 1);
    await worker.close();
    app = undefined;
    await outbox.transaction(() => outbox.publish({ type: 'order.placed', payload: 8 }));
    const left = await database.dataSource.query<unknown[]>('SELECT payload FROM saga_outbox');
    expect([heard, left]).toEqual([['7'], [{ payload: '8' }]]);
    await api.close();
  });
});
