import type { EntityManager } from 'typeorm';
import type { OutboxRecord } from '../../events/outbox-event.js';
import { OutboxStorage, type OutboxReader, type PendingEvent } from '../../outbox/outbox-storage.js';
import { eventArrays } from './event-arrays.js';
import { openTransaction } from './open-transaction.js';
import * as sql from './sql/outbox-sql.js';
import { TypeOrmOutboxReader } from './typeorm-outbox-reader.js';
import type { TypeOrmStorageSettings } from './typeorm-saga-storage.js';

/** Events in PostgreSQL, written on the caller's transaction, read and removed on the engine's own connections. */
export class TypeOrmOutboxStorage extends OutboxStorage<EntityManager> {
  constructor(private readonly settings: TypeOrmStorageSettings) {
    super();
  }

  async insert(tx: EntityManager, events: readonly OutboxRecord[]): Promise<void> {
    const runner = openTransaction(tx);
    if (events.length > 0) await runner.query(sql.insertEventsSql(this.settings.tables), eventArrays(events));
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

  async openReader(): Promise<OutboxReader> {
    const runner = this.settings.engine.createQueryRunner('master');
    await runner.connect();
    return new TypeOrmOutboxReader(runner, this.settings.tables);
  }

  async remove(events: readonly PendingEvent[]): Promise<void> {
    if (events.length === 0) return;
    const shards = events.map(({ shard }) => shard);
    const ids = events.map(({ id }) => String(id));
    await this.settings.engine.query(sql.removeSql(this.settings.tables), [shards, ids]);
  }
}
