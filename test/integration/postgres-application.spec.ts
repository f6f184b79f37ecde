import 'reflect-metadata';
import { Controller, Inject, Injectable, type INestApplication } from '@nestjs/common';
import { EventPattern, Payload } from '@nestjs/microservices';
import { DataSource } from 'typeorm';
import {
  Compensate,
  NonRetryableError,
  Outbox,
  Saga,
  SagaConflictError,
  SagaNotFoundError,
  SagaOrchestrator,
  SagaStep,
  TransactionRequiredError,
  type CompensationContext,
  type SagaContext,
} from '../../lib/index.js';
import { describeWith } from '../support/requirement.js';
import { startApplication } from '../support/test-application.js';
import { applicationDatabase, type ApplicationDatabase } from '../support/test-data-source.js';
import { until } from '../support/until.js';

interface TransferInput {
  readonly from: string;
  readonly to: string;
  readonly amount: number;
}

@Saga({ name: 'transfer' })
class TransferSaga {
  constructor(@Inject(Outbox) private readonly outbox: Outbox) {}

  @SagaStep({ transactional: true })
  async debit(ctx: SagaContext<TransferInput>) {
    const sql =
      'UPDATE account SET balance = balance - $1 WHERE name = $2 AND balance >= $1 RETURNING balance';
    const [rows] = await ctx.manager.query(sql, [ctx.input.amount, ctx.input.from]);
    if (rows.length === 0) throw new NonRetryableError(`${ctx.input.from} has not enough`);
    await ctx.publish({ type: 'account.debited', payload: ctx.input });
    await this.outbox.publish({ type: 'account.audited', key: ctx.input.from, payload: ctx.input });
    return { left: Number(rows[0].balance) };
  }

  @Compensate('debit')
  async giveBack(ctx: CompensationContext<TransferInput, { left: number }>) {
    await ctx.manager.query('UPDATE account SET balance = balance + $1 WHERE name = $2', [
      ctx.input.amount,
      ctx.input.from,
    ]);
  }

  @SagaStep({ transactional: true, retry: false })
  async credit(ctx: SagaContext<TransferInput>) {
    await ctx.publish({ type: 'account.credited', payload: ctx.input });
    const [, changed] = await ctx.manager.query('UPDATE account SET balance = balance + $1 WHERE name = $2', [
      ctx.input.amount,
      ctx.input.to,
    ]);
    if (changed === 0) throw new Error(`there is no account ${ctx.input.to}`);
  }
}

@Controller()
class Listener {
  readonly seen: { readonly type: string; readonly payload: unknown }[] = [];

  @EventPattern<string>('account.debited')
  debited(@Payload() payload: unknown) {
    this.seen.push({ type: 'account.debited', payload });
  }

  @EventPattern<string>('account.audited')
  audited(@Payload() payload: unknown) {
    this.seen.push({ type: 'account.audited', payload });
  }

  @EventPattern<string>('account.credited')
  credited(@Payload() payload: unknown) {
    this.seen.push({ type: 'account.credited', payload });
  }

  @EventPattern<string>('note.written')
  noted(@Payload() payload: unknown) {
    this.seen.push({ type: 'note.written', payload });
  }
}

@Injectable()
class Notes {
  constructor(
    private readonly dataSource: DataSource,
    private readonly outbox: Outbox,
  ) {}

  write(text: string, fail = false) {
    return this.dataSource.transaction(async (manager) => {
      await manager.query('INSERT INTO note (text) VALUES ($1)', [text]);
      await this.outbox.publish(manager, { type: 'note.written', key: 'notes', payload: { text } });
      if (fail) throw new Error('changed my mind');
    });
  }
}

describeWith('postgres', 'an application on PostgreSQL', () => {
  let database: ApplicationDatabase;
  let app: INestApplication;
  let orchestrator: SagaOrchestrator;
  const balance = async (name: string) => {
    const [row] = await database.dataSource.query('SELECT balance FROM account WHERE name = $1', [name]);
    return Number(row.balance);
  };
  const seen = (type: string) => app.get(Listener).seen.filter((event) => event.type === type);

  beforeAll(async () => {
    database = await applicationDatabase();
    await database.dataSource.query('CREATE TABLE account (name text PRIMARY KEY, balance numeric NOT NULL)');
    await database.dataSource.query('CREATE TABLE note (text text NOT NULL)');
    await database.dataSource.query(`INSERT INTO account VALUES ('ann', 100), ('bob', 0), ('zoe', 100)`);
    app = await startApplication({
      url: database.url,
      providers: [TransferSaga, Notes],
      controllers: [Listener],
    });
    orchestrator = app.get(SagaOrchestrator);
  });

  afterAll(async () => {
    await app?.close();
    await database.close();
  });

  it('commits business rows, journal and events of a transactional step together', async () => {
    const input = { from: 'ann', to: 'bob', amount: 30 };
    const result = await orchestrator.execute(TransferSaga, input);
    expect(result).toMatchObject({ status: 'completed', results: { debit: { left: 70 } } });
    expect([await balance('ann'), await balance('bob')]).toEqual([70, 30]);
    await until(() => seen('account.credited').length === 1);
    expect(seen('account.debited')).toEqual([{ type: 'account.debited', payload: input }]);
    expect(seen('account.audited')).toHaveLength(1);
  });

  it('undoes what was done and drops the events of the failed step', async () => {
    const result = await orchestrator.execute(TransferSaga, { from: 'zoe', to: 'nobody', amount: 10 });
    expect(result).toMatchObject({
      status: 'compensated',
      error: { message: 'there is no account nobody', step: 'credit' },
    });
    expect(await balance('zoe')).toBe(100);
    expect(seen('account.credited')).toHaveLength(1);
  });

  it('does not undo a transactional step that did not commit', async () => {
    const result = await orchestrator.execute(TransferSaga, { from: 'zoe', to: 'bob', amount: 1_000 });
    expect(result).toMatchObject({ status: 'compensated', error: { code: 'SAGAZ_NON_RETRYABLE' } });
    expect(await balance('zoe')).toBe(100);
  });

  it('starts one saga of many equal calls with one idempotency key', async () => {
    const input = { from: 'zoe', to: 'ann', amount: 5 };
    const calls = Array.from({ length: 10 }, () =>
      orchestrator.execute(TransferSaga, input, { idempotencyKey: 'pay-1' }),
    );
    const results = await Promise.all(calls);
    expect(new Set(results.map(({ sagaId }) => sagaId)).size).toBe(1);
    expect(await balance('zoe')).toBe(95);
    const other = orchestrator.execute(TransferSaga, { ...input, amount: 6 }, { idempotencyKey: 'pay-1' });
    await expect(other).rejects.toThrow(SagaConflictError);
  });

  it('starts a saga with the transaction of the caller, or not at all', async () => {
    const input = { from: 'zoe', to: 'ann', amount: 1 };
    const started = await database.dataSource
      .transaction(() => Promise.resolve())
      .then(() =>
        app.get(DataSource).transaction((manager) => orchestrator.start(TransferSaga, input, { manager })),
      );
    expect(await started.result()).toMatchObject({ status: 'completed' });

    let lost = '';
    const rolledBack = app.get(DataSource).transaction(async (manager) => {
      lost = (await orchestrator.start(TransferSaga, input, { manager })).sagaId;
      throw new Error('rolled back');
    });
    await expect(rolledBack).rejects.toThrow('rolled back');
    await expect(orchestrator.get(lost)).rejects.toThrow(SagaNotFoundError);
  });

  it('publishes an event if and only if the transaction of the business rows commits', async () => {
    await app.get(Notes).write('kept');
    await expect(app.get(Notes).write('dropped', true)).rejects.toThrow('changed my mind');
    await app.get(Notes).write('last');
    await until(() => seen('note.written').length === 2);
    expect(seen('note.written').map(({ payload }) => payload)).toEqual([{ text: 'kept' }, { text: 'last' }]);
  });

  it('refuses to publish without an open transaction', async () => {
    const outbox = app.get(Outbox);
    const event = { type: 'note.written', payload: {} };
    await expect(outbox.publish(event)).rejects.toThrow(TransactionRequiredError);
    await expect(outbox.publish(app.get(DataSource).manager, event)).rejects.toThrow(
      TransactionRequiredError,
    );
  });

  it('finds the transaction of outbox.transaction by itself, and none after it', async () => {
    const outbox = app.get(Outbox);
    const [id] = await outbox.transaction(() =>
      outbox.publish({ type: 'note.written', payload: { text: 'ambient' } }),
    );
    expect(id).toMatch(/^[0-9a-f-]{36}$/);
    await until(() => seen('note.written').length === 3);
    await expect(outbox.publish({ type: 'note.written' })).rejects.toThrow(TransactionRequiredError);
  });

  it('keeps nothing in the outbox of what was published', async () => {
    await until(async () => {
      const [row] = await database.dataSource.query('SELECT count(*)::int AS left FROM saga_outbox');
      return row.left === 0;
    });
  });
});
