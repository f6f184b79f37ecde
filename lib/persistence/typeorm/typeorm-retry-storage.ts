import type { DataSource } from 'typeorm';
import {
  CHANGED_AT_ONCE,
  RetryStorage,
  type BlockedKey,
  type Buried,
  type DeadLetter,
  type DeadLetterFilter,
  type DeadLetterSlice,
  type DeadLetterView,
  type Diverted,
  type DueRequest,
  isGone,
  type ListedLetter,
  type PlacedKey,
  type RetryEvent,
  type RetryResult,
} from '../../outbox/retry-storage.js';
import type { NewAudit } from '../../saga/state/audit.js';
import { audited } from './audit.js';
import { engineTransaction, type Query } from './engine-transaction.js';
import type { Tables } from './identifiers.js';
import { leafSpanMs } from './sent-leaves.js';
import * as sql from './sql/retry-sql.js';

interface Settings {
  readonly engine: DataSource;
  readonly tables: Tables;
  /** For how long published events are kept; false: not at all. */
  readonly retentionMs: number | false;
}

type Row = Omit<RetryEvent, 'seq'> & { readonly seq: string };

type ListedRow = DeadLetterView & { readonly place: string };

/** Events in trouble, in PostgreSQL. */
export class TypeOrmRetryStorage extends RetryStorage {
  constructor(private readonly settings: Settings) {
    super();
  }

  async divert(workerId: string, events: readonly Diverted[]): Promise<void> {
    const { engine, tables } = this.settings;
    await engine.query(sql.divertSql(tables), [
      events.map(({ event }) => event.shard),
      events.map(({ event }) => String(event.id)),
      events.map(({ failure }) => failure?.reason ?? null),
      events.map(({ failure }) => failure?.attempts ?? 0),
      events.map(({ failure }) => failure?.nextInMs ?? null),
      events.map(({ failure }) => failure !== undefined && failure.nextInMs === undefined),
      workerId,
    ]);
  }

  async bury(workerId: string, events: readonly Buried[]): Promise<void> {
    const { engine, tables } = this.settings;
    await engine.query(sql.burySql(tables), [
      events.map(({ event }) => event.shard),
      events.map(({ event }) => String(event.id)),
      events.map(({ reason }) => reason),
      workerId,
    ]);
  }

  blockedKeys(shards: readonly number[]): Promise<readonly BlockedKey[]> {
    const { engine, tables } = this.settings;
    return engine.query<BlockedKey[]>(sql.blockedKeysSql(tables), [shards]);
  }

  async promote(keys: readonly PlacedKey[]): Promise<void> {
    const { engine, tables } = this.settings;
    await engine.query(sql.promoteSql(tables), keysOf(keys));
  }

  async due({ shards, except, limit }: DueRequest): Promise<readonly RetryEvent[]> {
    const { engine, tables } = this.settings;
    const rows = await engine.query<Row[]>(sql.dueSql(tables), [shards, except, limit]);
    return rows.map((row) => ({ ...row, seq: BigInt(row.seq) }));
  }

  async depart(workerId: string, events: readonly RetryEvent[]): Promise<void> {
    const { engine, tables } = this.settings;
    await engine.query(sql.departSql(tables), [...placesOf(events), workerId]);
  }

  async arrive(events: readonly RetryEvent[]): Promise<void> {
    const { engine, tables } = this.settings;
    await engine.query(sql.arriveSql(tables), placesOf(events));
  }

  settle(workerId: string, results: readonly RetryResult[]): Promise<void> {
    return engineTransaction(this.settings.engine, (query) => this.settleOn(query, workerId, results));
  }

  async deadLetters(filter: DeadLetterFilter, limit: number): Promise<readonly DeadLetter[]> {
    const { engine, tables } = this.settings;
    const rows = await engine.query<DeadLetter[]>(sql.deadLettersSql(tables), [...chosen(filter), limit]);
    return rows.map(withDates);
  }

  async listDeadLetters(
    filter: DeadLetterFilter,
    { limit, after }: DeadLetterSlice,
  ): Promise<readonly ListedLetter[]> {
    const { engine, tables } = this.settings;
    const behind = [after?.diedAt, after?.eventId, after?.destination].map((value) => value ?? null);
    const parameters = [...chosen(filter), limit, ...behind];
    const rows = await engine.query<ListedRow[]>(sql.listDeadLettersSql(tables), parameters);
    return rows.map(({ place: diedAt, ...row }) => {
      const { eventId, destination } = row;
      return { letter: withDates(row), place: { diedAt, eventId, destination } };
    });
  }

  requeue(filter: DeadLetterFilter, audit: NewAudit): Promise<number> {
    return this.change(sql.requeueSql, filter, audit);
  }

  discard(filter: DeadLetterFilter, audit: NewAudit): Promise<number> {
    return this.change(sql.discardSql, filter, audit);
  }

  private change(
    text: (tables: Tables) => string,
    filter: DeadLetterFilter,
    audit: NewAudit,
  ): Promise<number> {
    return audited(this.settings, audit, async (query, upTo) => {
      const parameters = [...chosen(filter), upTo, CHANGED_AT_ONCE];
      const [row] = await query<{ events: number }[]>(text(this.settings.tables), parameters);
      return row?.events ?? 0;
    });
  }

  private async settleOn(query: Query, workerId: string, results: readonly RetryResult[]): Promise<void> {
    const { tables, retentionMs } = this.settings;
    const run = async (text: string, group: readonly RetryResult[], more: readonly unknown[] = []) => {
      if (group.length === 0) return;
      await query(text, [...placesOf(group.map(({ event }) => event)), ...more]);
    };
    const failed = results.filter((it) => it.outcome === 'failed');
    const dead = results.filter((it) => it.outcome === 'dead');
    const parked = results.filter((it) => it.outcome === 'parked');
    const published = results.filter((it) => it.outcome === 'published');
    if (retentionMs === false) await run(sql.publishedSql(tables), published, [workerId]);
    else await run(sql.publishedAndKeptSql(tables), published, [workerId, leafSpanMs(retentionMs)]);
    await run(sql.failedAgainSql(tables), failed, [
      failed.map(({ failure }) => failure.reason),
      failed.map(({ failure }) => failure.attempts),
      failed.map(({ failure }) => failure.nextInMs),
      workerId,
    ]);
    await run(sql.parkedSql(tables), parked, [parked.map(({ reason }) => reason), workerId]);
    await run(sql.exhaustedSql(tables), dead, [dead.map(({ reason }) => reason), workerId]);
    const heads = results
      .filter(({ event, outcome }) => event.blocks && isGone(outcome))
      .map(({ event }) => event);
    if (heads.length === 0) return;
    await query(sql.promoteSql(tables), keysOf(heads));
  }
}

function keysOf(keys: readonly PlacedKey[]): unknown[] {
  return [
    keys.map(({ shard }) => shard),
    keys.map(({ destination }) => destination),
    keys.map(({ key }) => key),
  ];
}

/** Whatever types the application has set for timestamps. */
function withDates<T extends DeadLetterView>(row: T): T {
  return { ...row, createdAt: new Date(row.createdAt), diedAt: new Date(row.diedAt) };
}

function placesOf(events: readonly RetryEvent[]): unknown[] {
  return [events.map(({ shard }) => shard), events.map(({ seq }) => String(seq))];
}

function chosen({ eventIds, destination, type, key, diedAfter, diedBefore }: DeadLetterFilter): unknown[] {
  return [eventIds, destination, type, key, diedAfter, diedBefore].map((value) => value ?? null);
}
