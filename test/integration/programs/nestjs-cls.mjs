// An application with nestjs-cls, as a process of its own: that library is CommonJS, and Jest cannot require Nest 12.
import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { getDataSourceToken, TypeOrmModule } from '@nestjs/typeorm';
import { ClsPluginTransactional, TransactionHost } from '@nestjs-cls/transactional';
import { TransactionalAdapterTypeOrm } from '@nestjs-cls/transactional-adapter-typeorm';
import { ClsModule } from 'nestjs-cls';
import { InMemoryBroker, Outbox, SagazModule } from '../../../dist/esm/index.js';

const broker = new InMemoryBroker();
broker.subscribe(async ({ payload }) => process.send({ heard: JSON.parse(payload) }));

class RootModule {}
Module({
  imports: [
    TypeOrmModule.forRoot({ type: 'postgres', url: process.env.DATABASE_URL }),
    ClsModule.forRoot({
      global: true,
      plugins: [
        new ClsPluginTransactional({
          imports: [TypeOrmModule],
          adapter: new TransactionalAdapterTypeOrm({ dataSourceToken: getDataSourceToken() }),
        }),
      ],
    }),
    SagazModule.forRoot({
      broker,
      // So slow that nothing is relayed in time by looking, and no other process tells of it.
      outbox: { pollInterval: '1m', maxPollInterval: '1m', notify: false },
      resolveManager: () => TransactionHost.getInstance().tx,
      worker: { lease: '1s' },
    }),
  ],
})(RootModule);

const app = await NestFactory.createApplicationContext(RootModule, { logger: false });
const outbox = app.get(Outbox);
const host = app.get(TransactionHost);

process.on('message', async ({ place, fails }) => {
  const work = host.withTransaction(async () => {
    await host.tx.query('INSERT INTO placed VALUES ($1)', [place]);
    await outbox.publish({ type: 'order.placed', payload: place });
    if (fails) throw new Error('changed my mind');
  });
  const outcome = await work.then(
    () => 'placed',
    (error) => error.message,
  );
  process.send({ place, outcome });
});
process.on('disconnect', () => void app.close());
process.send({ ready: true });
