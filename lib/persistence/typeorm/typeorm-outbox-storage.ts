import type { EntityManager } from 'typeorm';
import { Turn } from '../../runtime/turn.js';
import type { OutboxRecord } from '../../events/outbox-event.js';
import { OutboxStorage, type OutboxReader, type PendingEvent } from '../../outbox/outbox-storage.js';
import { EngineConnection, type Statement } from './engine-connection.js';
import { eventArrays } from './event-arrays.js';
import { openTransaction } from './open-transaction.js';
import * as sql from './sql/outbox-sql.js';
import { TypeOrmOutboxReader } from './typeorm-outbox-reader.js';
import type { TypeOrmStorageSettings } from './typeorm-saga-storage.js';

export interface TypeOrmOutboxSettings extends TypeOrmStorageSettings {
  /** Called when a transaction with events has committed. */
  readonly committed: () => void;
}

/** Events in PostgreSQL, written on the caller's transaction, read and removed on the engine's own connections. */
export class TypeOrmOutboxStorage extends OutboxStorage<EntityManager> {
  /** Batches are removed while the next one is read. */
  private readonly remover: EngineConnection;
  private readonly removal: Statement;
  /** A connection takes one statement at a time. */
  private readonly turn = new Turn();

  constructor(private readonly settings: TypeOrmOutboxSettings) {
    super();
    const { engine, named, tables } = settings;
    this.remover = new EngineConnection({ engine, named });
    this.removal = { name: 'sagaz_remove', text: sql.removeSql(tables) };
  }

  async close(): Promise<void> {
    await this.remover.close();
  }

  async insert(tx: EntityManager, events: readonly OutboxRecord[]): Promise<void> {
    const runner = openTransaction(tx);
    if (events.length === 0) return;
    const { tables, commits, committed } = this.settings;
    await runner.query(sql.insertEventsSql(tables), eventArrays(events));
    commits.after(runner, committed);
  }

  transaction<T>(work: (tx: EntityManager) => Promise<T>): Promise<T> {
    const { application, scope } = this.settings;
    return application.transaction((manager) => scope.run(manager, () => work(manager)));
  }

  currentTransaction(): EntityManager | undefined {
    return this.settings.scope.current();
  }

  async leaseShards(workerId: string): Promise<readonly number[]> {
    const { engine, tables } = this.settings;
    await engine.query(sql.returnShardsSql(tables), [workerId]);
    await engine.query(sql.takeShardsSql(tables), [workerId]);
    const rows = await engine.query<{ shard: number }[]>(sql.ownedShardsSql(tables), [workerId]);
    return rows.map(({ shard }) => shard);
  }

  async releaseShards(workerId: string): Promise<void> {
    await this.settings.engine.query(sql.releaseShardsSql(this.settings.tables), [workerId]);
  }

  openReader(): Promise<OutboxReader> {
    const { engine, named, tables } = this.settings;
    return Promise.resolve(new TypeOrmOutboxReader({ engine, named }, tables));
  }

  async remove(events: readonly PendingEvent[]): Promise<void> {
    if (events.length === 0) return;
    const shards = events.map(({ shard }) => shard);
    const ids = events.map(({ id }) => String(id));
    await this.turn.run(() => this.remover.query(this.removal, [shards, ids]));
  }
}
