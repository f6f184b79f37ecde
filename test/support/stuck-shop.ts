import type pg from 'pg';
import {
  ClassicSaga,
  NoEffectError,
  NonRetryableError,
  Outbox,
  SagaAdmin,
  SagaOrchestrator,
  SagazModule,
} from '../../lib/index.js';
import { createDatabase, poolOf } from './database.js';
import { startApplication } from './test-application.js';
import { OK, TestBroker } from './test-broker.js';
import { until } from './until.js';

const order = new ClassicSaga('order', { compensationRetry: 1 })
  .step('charge', {
    action: () => ({ receipt: 1 }),
    compensation: () => {
      throw new Error('the bank is closed');
    },
  })
  .step('ship', {
    dependsOn: ['charge'],
    action: () => {
      throw new NoEffectError('no carrier');
    },
  })
  .build();

const parcel = new ClassicSaga('parcel')
  .step('hand-over', { pivot: true, action: () => undefined })
  .step('label', {
    dependsOn: ['hand-over'],
    action: () => {
      throw new NonRetryableError('no printer');
    },
  })
  .build();

const note = new ClassicSaga('note').step('write', { action: () => undefined }).build();

/** What stands in a line of a test for an id that is known only when it runs. */
export type StuckName = 'FAILED' | 'PARKED' | 'DONE' | 'DEAD';

/** A database in which a saga has failed, one is parked, one is done, and an event has given up; nothing works on it. */
export class StuckShop {
  private constructor(
    readonly url: string,
    private readonly pool: pg.Pool,
    private readonly ids: Readonly<Record<StuckName, string>>,
    private readonly drop: () => Promise<void>,
  ) {}

  static async open(): Promise<StuckShop> {
    const { url, drop } = await createDatabase();
    const broker = new TestBroker(({ type }) =>
      type === 'order.poison' ? { status: 'rejected', reason: 'too_large' } : OK,
    );
    const app = await startApplication({
      url,
      sagaz: { broker, outbox: { retention: '1h' } },
      imports: [SagazModule.forFeature([order, parcel, note])],
    });
    const [orchestrator, outbox] = [app.get(SagaOrchestrator), app.get(Outbox)];
    const { sagaId: failed } = await orchestrator.execute(order, {});
    const { sagaId: completed } = await orchestrator.execute(note, {});
    const { sagaId: parked } = await orchestrator.start(parcel, {});
    const [dead = ''] = await outbox.transaction(() =>
      outbox.publish(['order.poison', 'order.sent'].map((type) => ({ type, key: type, payload: {} }))),
    );
    const pool = poolOf(url, 1);
    const admin = app.get(SagaAdmin);
    await until(async () => (await admin.history(parked)).status === 'parked');
    await until(async () => {
      const { rows } = await pool.query('SELECT FROM saga_outbox_dead_letter CROSS JOIN saga_outbox_sent');
      return rows.length === 1;
    });
    await app.close();
    return new StuckShop(url, pool, { FAILED: failed, PARKED: parked, DONE: completed, DEAD: dead }, drop);
  }

  /** The text with ids in the place of names. */
  named(text: string): string {
    return text.replaceAll(/\b(FAILED|PARKED|DONE|DEAD)\b/g, (name) => this.ids[name as StuckName]);
  }

  /** All that stands in the database, to be compared. */
  async tables(): Promise<string> {
    const { rows } = await this.pool.query<{ xml: string }>(
      `SELECT database_to_xml(true, false, '')::text AS xml`,
    );
    return rows[0]?.xml ?? '';
  }

  /** Puts so many more failed sagas, dead letters and pending events beside those that are there. */
  async grow(by: number): Promise<void> {
    const copy = (table: string, column: string, id: string) =>
      this.pool.query(
        `INSERT INTO ${table}
         SELECT (jsonb_populate_record(it, jsonb_build_object('${column}', gen_random_uuid()))).*
         FROM ${table} it, generate_series(1, $2) WHERE ${column} = $1`,
        [id, by],
      );
    await copy('saga_instance', 'id', this.ids.FAILED);
    await copy('saga_outbox_dead_letter', 'event_id', this.ids.DEAD);
    await this.pool.query(
      `INSERT INTO saga_outbox (shard, event_id, destination, type, key, payload, headers)
       SELECT 0, gen_random_uuid(), 'default', 'order.sent', 'k', '{}', '{}' FROM generate_series(1, $1)`,
      [by],
    );
  }

  /** Puts so many sagas beside those that are there that are to run, and that no worker has the code of. */
  async strand(by: number): Promise<void> {
    await this.pool.query(
      `INSERT INTO saga_instance
       SELECT (jsonb_populate_record(it, jsonb_build_object('id', gen_random_uuid(), 'status', 'pending'))).*
       FROM saga_instance it, generate_series(1, $2) WHERE id = $1`,
      [this.ids.FAILED, by],
    );
  }

  async close(): Promise<void> {
    await this.pool.end();
    await this.drop();
  }
}
