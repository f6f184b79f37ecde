import type { DataSource } from 'typeorm';
import type { Clock } from '../../runtime/clock.js';
import { Turn } from '../../runtime/turn.js';
import { WorkerStorage, type WorkerBeat } from '../../saga/worker-storage.js';
import { EngineConnection } from './engine-connection.js';
import type { History } from './history.js';
import type { Tables } from './identifiers.js';
import * as sql from './sql/worker-sql.js';

export interface TypeOrmWorkerStorageSettings {
  readonly engine: DataSource;
  readonly tables: Tables;
  readonly clock: Clock;
  readonly history: History;
  /** Whether a connection is a session of the server; where a pooler is between, it is not. */
  readonly sessions: () => boolean;
}

type Query = EngineConnection['query'];

/** The leader's own number; those of workers begin with 1. */
const LEADER = 0;
/** A statement on this connection that takes longer has met a connection that has died silently. */
const SESSION_TIMEOUT_MS = 3_000;
/** What cut the connection of the leader may have cut those of the others: for so long it judges nobody by their locks. */
const PATIENCE_AFTER_LOSS_MS = 2_000;

/**
 * Workers in PostgreSQL. Each holds a session lock on a connection that serves nothing else, and the server frees it in
 * the moment in which the process is killed. One of the workers, the holder of the leader's lock, looks for locks that
 * are free. A lock proves something only while the server is still the one on which it was taken; in every other case,
 * and behind a pooler, the lease decides.
 */
export class TypeOrmWorkerStorage extends WorkerStorage {
  private readonly session: EngineConnection;
  /** Lock numbers of the workers of this process, and whether this session holds them. */
  private readonly locks = new Map<string, { readonly key: number; held: boolean }>();
  private leads = false;
  /** A connection takes one statement at a time. */
  private readonly turn = new Turn();
  /** The worker that has been told that the database's history has changed. */
  private told: string | undefined;
  private lostAt = -Infinity;
  /** Workers whose lock was free at the last look. */
  private missing = new Set<string>();

  constructor(private readonly settings: TypeOrmWorkerStorageSettings) {
    super();
    this.session = new EngineConnection({
      engine: settings.engine,
      named: settings.sessions,
      timeoutMs: SESSION_TIMEOUT_MS,
      opened: (query) => this.opened(query),
      lost: () => this.lost(),
    });
  }

  override get sight(): string | undefined {
    return this.settings.sessions() ? 'session locks' : undefined;
  }

  heartbeat(worker: WorkerBeat): Promise<boolean> {
    return this.turn.run(() => this.beat(worker));
  }

  findDead(): Promise<readonly string[]> {
    return this.turn.run(() => this.look());
  }

  stepAside(workerId: string): Promise<boolean> {
    return this.turn.run(async () => {
      const moved = await this.session.query(sql.stepAsideSql(this.settings.tables), [workerId]);
      return moved.length > 0;
    });
  }

  first(): Promise<string | undefined> {
    return this.turn.run(async () => {
      const [row] = await this.session.query<{ id: string }>(sql.firstSql(this.settings.tables), []);
      return row?.id;
    });
  }

  retire(workerId: string): Promise<void> {
    return this.turn.run(async () => {
      await this.session.query(sql.retireSql(this.settings.tables), [workerId]);
      await this.free(workerId);
    });
  }

  async close(): Promise<void> {
    this.locks.clear();
    await this.session.close();
  }

  private async beat({ id, relays, leaseMs, definitions = [] }: WorkerBeat): Promise<boolean> {
    await this.session.ready();
    if (this.settings.history.isBroken && !(await this.beginAnew(id))) return false;
    const lock = await this.lockOf(id);
    const key = lock?.held ? lock.key : null;
    const alive = await this.session.query(sql.heartbeatSql(this.settings.tables), [
      id,
      relays,
      leaseMs,
      key,
      JSON.stringify(definitions),
    ]);
    if (alive.length === 0) await this.free(id);
    return alive.length > 0;
  }

  private async look(): Promise<readonly string[]> {
    const { tables } = this.settings;
    const twice = this.settings.sessions() ? await this.lostTwice() : [];
    const dead = await this.session.query<{ id: string; lockKey: number | null }>(sql.findDeadSql(tables), [
      twice,
    ]);
    // A frozen process must not keep the leader's lock.
    const keys = dead.flatMap(({ lockKey }) => lockKey ?? []);
    if (keys.length > 0) await this.session.query(sql.endSessionsSql(tables), [keys]).catch(() => undefined);
    return dead.map(({ id }) => id);
  }

  /**
   * After a failover whoever works here must let go of everything: it is told that it is dead. Its next name is proof that
   * it has done so.
   */
  private async beginAnew(id: string): Promise<boolean> {
    if (this.told === undefined) {
      this.told = id;
      await this.session.query(sql.declareDeadSql(this.settings.tables), [id]);
      await this.free(id);
      return false;
    }
    this.told = undefined;
    this.settings.history.accept();
    return true;
  }

  /** Workers whose lock was free at this look and at the one before it. */
  private async lostTwice(): Promise<readonly string[]> {
    const { tables, clock } = this.settings;
    this.leads ||= await this.take(this.session.query, LEADER);
    if (!this.leads || clock.monotonic() - this.lostAt < PATIENCE_AFTER_LOSS_MS) return [];
    const rows = await this.session.query<{ id: string }>(sql.lockLostSql(tables), []);
    const before = this.missing;
    this.missing = new Set(rows.map(({ id }) => id));
    return [...this.missing].filter((id) => before.has(id));
  }

  /** Takes the worker's lock when this session does not hold it. */
  private async lockOf(id: string) {
    if (!this.settings.sessions()) return undefined;
    const known = this.locks.get(id);
    if (known) {
      known.held ||= await this.take(this.session.query, known.key);
      return known;
    }
    for (;;) {
      const [row] = await this.session.query<{ lockKey: number }>(
        sql.lockNumberSql(this.settings.tables),
        [],
      );
      if (!row || !(await this.take(this.session.query, row.lockKey))) continue;
      const lock = { key: row.lockKey, held: true };
      this.locks.set(id, lock);
      return lock;
    }
  }

  private async take(query: Query, key: number): Promise<boolean> {
    const [row] = await query<{ held: boolean }>(sql.takeLockSql(this.settings.tables), [key]);
    return row?.held === true;
  }

  private async free(id: string): Promise<void> {
    const lock = this.locks.get(id);
    this.locks.delete(id);
    if (lock?.held) await this.session.query(sql.freeLockSql(this.settings.tables), [lock.key]);
  }

  /** A new connection takes the locks of the one that was lost. */
  private async opened(query: Query): Promise<void> {
    await this.settings.history.check(query);
    if (!this.settings.sessions()) return;
    await query(sql.keepAliveSql, []);
    for (const lock of this.locks.values()) lock.held = await this.take(query, lock.key);
  }

  private lost(): void {
    this.leads = false;
    this.missing = new Set();
    this.lostAt = this.settings.clock.monotonic();
    for (const lock of this.locks.values()) lock.held = false;
    // At once, before the leader has looked twice.
    if (this.locks.size > 0) this.session.ready().catch(() => undefined);
  }
}
