// A shop whose world can be broken by the switches in its database, as a process of its own: it is killed.
import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import pg from 'pg';
import {
  BrokerUnavailableError,
  ClassicSaga,
  MessageBroker,
  NoEffectError,
  NonRetryableError,
  SagaOrchestrator,
  SagazModule,
} from '../../../dist/esm/index.js';
import { SagazAdminModule } from '../../../dist/esm/admin.js';

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 3 });

async function broken(name) {
  const { rows } = await pool.query('SELECT 1 FROM broken WHERE name = $1', [name]);
  return rows.length > 0;
}

async function effect({ sagaId }, what) {
  await pool.query('INSERT INTO effect (saga_id, what) VALUES ($1, $2) ON CONFLICT DO NOTHING', [
    sagaId,
    what,
  ]);
}

class ShopBroker extends MessageBroker {
  kind = 'shop';
  connect() {
    return Promise.resolve();
  }
  async publish(batch) {
    await this.ping();
    const tooSmall = await broken('queue');
    const outcomes = batch.map(({ type }) => {
      const refused = type === 'order.obsolete' || (tooSmall && type === 'order.poison');
      return refused ? { status: 'rejected', reason: 'too_large' } : { status: 'ok' };
    });
    for (const [index, { eventId, type }] of batch.entries())
      if (outcomes[index].status === 'ok')
        await pool.query('INSERT INTO delivered (event_id, type) VALUES ($1, $2)', [eventId, type]);
    return outcomes;
  }
  async ping() {
    if (await broken('broker')) throw new BrokerUnavailableError('the broker of the shop', 'it is down');
  }
  close() {
    return Promise.resolve();
  }
}

const order = new ClassicSaga('order', { compensationRetry: 1, retry: 1 })
  .step('charge', {
    action: (ctx) => effect(ctx, 'charge'),
    compensation: async (ctx) => {
      if (await broken('bank')) throw new Error('the bank is closed');
      await effect(ctx, 'refund');
    },
  })
  .step('pack', {
    dependsOn: ['charge'],
    readOnly: true,
    timeout: '1m',
    retry: 10,
    action: async ({ input }) => {
      if (input.kind !== 'large' || !(await broken('memory'))) return;
      process.kill(process.pid, 'SIGKILL');
      await new Promise(() => undefined);
    },
  })
  .step('ship', {
    dependsOn: ['pack'],
    pivot: true,
    retry: 2,
    action: async (ctx) => {
      if (ctx.input.kind === 'far') throw new NoEffectError('no carrier goes there');
      await effect(ctx, 'ship');
      await ctx.publish({ type: ctx.input.event ?? 'order.shipped', key: ctx.sagaId });
    },
  })
  .step('label', {
    dependsOn: ['ship'],
    retry: 3,
    action: async (ctx) => {
      if (ctx.input.kind === 'labelled' && (await broken('printer'))) throw new NonRetryableError('no paper');
      await effect(ctx, 'label');
    },
  })
  .build();

const pickup = new ClassicSaga('pickup')
  .step('hold', { action: (ctx) => effect(ctx, 'hold'), compensation: (ctx) => effect(ctx, 'release') })
  .step('collect', {
    dependsOn: ['hold'],
    readOnly: true,
    waitFor: 'collected',
    waitTimeout: '3d',
    action: () => null,
  })
  .build();

const guard = {
  canActivate: (context) => context.switchToHttp().getRequest().headers.authorization === 'Bearer of-on-call',
};

class AppModule {}
Module({
  imports: [
    TypeOrmModule.forRoot({ type: 'postgres', url: process.env.DATABASE_URL }),
    SagazAdminModule.register({ path: 'ops', guards: [guard], actor: () => 'on-call' }),
    SagazModule.forFeature([order, pickup]),
    SagazModule.forRoot({
      broker: new ShopBroker(),
      worker: { lease: '500ms' },
      sagas: { maxClaims: 2 },
      shutdownTimeout: '2s',
    }),
  ],
})(AppModule);

const app = await NestFactory.create(AppModule, { logger: false });
process.on('message', ({ saga, input, tags }) => void app.get(SagaOrchestrator).start(saga, input, { tags }));
process.on('disconnect', () => void app.close().then(() => pool.end()));
await app.listen(0, '127.0.0.1');
process.send({ port: app.getHttpServer().address().port });
