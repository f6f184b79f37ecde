import type { EntityManager } from 'typeorm';
import { Turn } from '../../runtime/turn.js';
import type { OutboxRecord } from '../../events/outbox-event.js';
import {
  OutboxStorage,
  type OutboxNumbers,
  type OutboxReader,
  type PendingEvent,
  type SentFilter,
} from '../../outbox/outbox-storage.js';
import { CHANGED_AT_ONCE } from '../../outbox/retry-storage.js';
import type { NewAudit } from '../../saga/state/audit.js';
import { audited } from './audit.js';
import { EngineConnection, type Statement } from './engine-connection.js';
import { engineTransaction } from './engine-transaction.js';
import { eventArrays } from './event-arrays.js';
import { handlerTransaction } from './handler-transaction.js';
import { openTransaction } from './open-transaction.js';
import {
  countPending,
  MOST_COUNTED,
  sumPending,
  sumTrouble,
  type PendingCount,
  type TroubleCount,
} from './outbox-counts.js';
import { leafSpanMs } from './sent-leaves.js';
import * as counts from './sql/outbox-counts-sql.js';
import * as sql from './sql/outbox-sql.js';
import { leafSql, nextLeafSql, republishSql } from './sql/sent-sql.js';
import { TypeOrmOutboxReader } from './typeorm-outbox-reader.js';
import type { TypeOrmStorageSettings } from './typeorm-saga-storage.js';

export interface TypeOrmOutboxSettings extends TypeOrmStorageSettings {
  /** Called when a transaction with events has committed. */
  readonly committed: (events: readonly OutboxRecord[]) => void;
  /** For how long published events are kept; false: not at all. */
  readonly retentionMs: number | false;
}

/** A part of what is published again: how many events, and which was the last. */
interface Republished {
  readonly count: number;
  readonly createdAt: string;
  readonly lastId: string;
  readonly leaf: number;
  readonly place: string;
}

/** Emptying a leaf waits for nobody for longer: it is tried again later. */
const TRUNCATE_LOCK_TIMEOUT_MS = 100;

/** Events in PostgreSQL, written on the caller's transaction, read and removed on the engine's own connections. */
export class TypeOrmOutboxStorage extends OutboxStorage<EntityManager> {
  /** Batches are removed while the next one is read. */
  private readonly remover: EngineConnection;
  private readonly removal: Statement;
  /** A connection takes one statement at a time. */
  private readonly turn = new Turn();

  constructor(private readonly settings: TypeOrmOutboxSettings) {
    super();
    const { engine, named, tables, retentionMs } = settings;
    this.remover = new EngineConnection({ engine, named });
    this.removal =
      retentionMs === false
        ? { name: 'sagaz_remove', text: sql.removeSql(tables) }
        : { name: 'sagaz_keep', text: sql.removeAndKeepSql(tables) };
  }

  async close(): Promise<void> {
    await this.remover.close();
  }

  async insert(tx: EntityManager, events: readonly OutboxRecord[]): Promise<void> {
    const runner = openTransaction(tx);
    if (events.length === 0) return;
    const { tables, commits, committed, orderLock } = this.settings;
    const delayed = events.filter(({ delayMs }) => delayMs !== undefined);
    const others = delayed.length === 0 ? events : events.filter(({ delayMs }) => delayMs === undefined);
    if (orderLock) await runner.query(sql.lockKeysSql, [others.map(({ key }) => key)]);
    if (others.length > 0) await runner.query(sql.insertEventsSql(tables), eventArrays(others));
    if (delayed.length > 0)
      await runner.query(sql.insertDelayedSql(tables), [
        ...eventArrays(delayed),
        delayed.map(({ delayMs }) => delayMs),
      ]);
    commits.after(runner, () => committed(events));
  }

  transaction<T>(work: (tx: EntityManager) => Promise<T>): Promise<T> {
    const { scope } = this.settings;
    return handlerTransaction(this.settings, (manager) => scope.run(manager, () => work(manager)));
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
    const { retentionMs } = this.settings;
    const span = retentionMs === false ? [] : [leafSpanMs(retentionMs)];
    await this.turn.run(() => this.remover.query(this.removal, [shards, ids, ...span]));
  }

  async loadPayloads(events: readonly PendingEvent[]): Promise<readonly PendingEvent[]> {
    const absent = events.filter(({ absentBytes }) => typeof absentBytes === 'number');
    if (absent.length === 0) return events;
    const { engine, tables } = this.settings;
    const parameters = [absent.map(({ shard }) => shard), absent.map(({ id }) => String(id))];
    const rows = await engine.query<{ id: string; payload: string }[]>(sql.payloadsSql(tables), parameters);
    const payloads = new Map(rows.map(({ id, payload }) => [BigInt(id), payload]));
    return events.flatMap((event) => {
      if (typeof event.absentBytes !== 'number') return [event];
      const payload = payloads.get(event.id);
      return payload === undefined ? [] : [{ ...event, payload }];
    });
  }

  async forgetSent(): Promise<void> {
    const { engine, tables, retentionMs } = this.settings;
    if (retentionMs === false) return;
    const [next] = await engine.query<{ leaf: number }[]>(nextLeafSql, [leafSpanMs(retentionMs)]);
    const leaf = tables.sentLeaf(next?.leaf ?? 0);
    const [found] = await engine.query<{ filled: boolean; young: boolean }[]>(leafSql(leaf), [retentionMs]);
    if (!found?.filled || found.young) return;
    await engineTransaction(engine, async (query) => {
      await query(`SET LOCAL lock_timeout = '${TRUNCATE_LOCK_TIMEOUT_MS}ms'`);
      await query(`TRUNCATE ${leaf}`);
    });
  }

  async republish(filter: SentFilter, audit: NewAudit): Promise<number> {
    const { tables, committed } = this.settings;
    const { eventIds, destination, type, key, sentAfter, sentBefore } = filter;
    const parameters = [eventIds, destination, type, key, sentAfter, sentBefore];
    const wanted = parameters.map((value) => value ?? null);
    let last: Republished | undefined;
    try {
      return await audited(this.settings, audit, async (query, upTo) => {
        const behind = [last?.createdAt, last?.lastId, last?.leaf, last?.place].map((value) => value ?? null);
        const part = [...wanted, upTo, CHANGED_AT_ONCE, ...behind];
        [last] = await query<Republished[]>(republishSql(tables), part);
        return last?.count ?? 0;
      });
    } finally {
      committed([]);
    }
  }

  async numbers(): Promise<OutboxNumbers> {
    const { engine, tables } = this.settings;
    const pending = await countPending((shards, limits) =>
      engine.query<PendingCount[]>(counts.pendingSql(tables), [shards, limits]),
    );
    const trouble = await engine.query<TroubleCount[]>(counts.troubleSql(tables), [MOST_COUNTED]);
    return { ...sumPending(pending), ...sumTrouble(trouble) };
  }
}
