import type { DataSource } from 'typeorm';
import type { Clock } from '../../runtime/clock.js';
import type { DebugProbe } from '../../runtime/debug-points.js';
import type { Appended, NewSaga, SagaWrite } from '../../saga/saga-storage.js';
import { EngineConnection, type Statement } from './engine-connection.js';
import { FencedError } from '../../saga/state/errors.js';
import type { History } from './history.js';
import { GroupCommit, type Answer } from './group-commit.js';
import type { Tables } from './identifiers.js';
import { epochsSql } from './sql/write-sql.js';
import {
  appendedOf,
  outcomeOf,
  fenced,
  sagaBytes,
  writeBytes,
  WriteStatements,
  type WriteBatch,
  type WriteRow,
} from './write-batch.js';

export interface JournalWriterSettings {
  readonly engine: DataSource;
  readonly tables: Tables;
  readonly clock: Clock;
  readonly reach: DebugProbe;
  readonly history: History;
  /** Whether statements may have names. */
  readonly named: () => boolean;
  /** Called after each flush. */
  readonly flushed: (flush: Flushed) => void;
  /** Connections, each with a flush of its own. Default 2. */
  readonly lanes?: number;
  readonly maxRows?: number;
}

export interface Flushed extends WriteBatch {
  readonly durationMs: number;
}

/** A flush as telemetry tells of it. */
export function flushOf({ sagas, writes, durationMs }: Flushed) {
  const entries = writes.reduce((sum, write) => sum + write.entries.length, sagas.length);
  const sizes = [...sagas.map(sagaBytes), ...writes.map(writeBytes)];
  return { entries, bytes: sizes.reduce((sum, size) => sum + size, 0), durationMs };
}

/**
 * Its statements find rows by their keys, in tables that may have been empty when they were planned: a plan made then
 * would scan the growing table until the next ANALYZE (seen: a third of the rate after a minute).
 */
const BY_INDEX: Statement = {
  name: 'sagaz_by_index',
  text: `SELECT set_config('enable_seqscan', 'off', false)`,
};

/** With one the process waits for the database and the database for the process, in turn (docs/adr/0002). */
const LANES = 2;

/** A saga to be created, without an idempotency key, or a write of one that is there. */
type Item = { readonly saga: NewSaga } | { readonly write: SagaWrite; readonly history: number };

/**
 * Writes what all sagas of this process want to be durable: together, in one statement, while the next one fills.
 * While one flush is in flight this process works out what the next one holds: two connections keep both busy.
 */
export class JournalWriter {
  private readonly group: GroupCommit<Item, Appended>;
  private readonly statements: WriteStatements;
  private readonly free: EngineConnection[];

  constructor(private readonly settings: JournalWriterSettings) {
    const { lanes = LANES, maxRows, clock } = settings;
    this.statements = new WriteStatements(settings.tables);
    const opened = async (query: EngineConnection['query']) => {
      await settings.history.check(query);
      if (settings.named()) await query(BY_INDEX, []);
    };
    this.free = Array.from({ length: lanes }, () => new EngineConnection({ ...settings, opened }));
    this.group = new GroupCommit({
      flush: (items) => this.flush(items),
      weigh: (item) =>
        'saga' in item
          ? { rows: 1, bytes: sagaBytes(item.saga) }
          : { rows: Math.max(1, item.write.entries.length), bytes: writeBytes(item.write) },
      subjectOf: (item) => ('saga' in item ? item.saga : item.write).sagaId,
      ...{ clock, lanes },
      ...(maxRows !== undefined && { maxRows }),
    });
  }

  /** Resolves when it is durable. @throws FencedError with nothing of it written */
  append(write: SagaWrite): Promise<Appended> {
    const { history } = this.settings;
    if (history.isBroken) return Promise.reject(fenced(write));
    return this.group.add({ write, history: history.number });
  }

  create(saga: NewSaga): Promise<unknown> {
    return this.group.add({ saga });
  }

  async close(): Promise<void> {
    this.group.close();
    await Promise.all(this.free.map((connection) => connection.close()));
  }

  private async flush(items: readonly Item[]): Promise<readonly Answer<Appended>[]> {
    const connection = this.free.pop();
    if (!connection) throw new Error('more flushes than connections');
    try {
      return await this.store(items, connection);
    } finally {
      this.free.push(connection);
    }
  }

  private async store(items: readonly Item[], connection: EngineConnection) {
    await connection.ready();
    const { number } = this.settings.history;
    const isVoid = (item: Item) => 'write' in item && item.history !== number;
    if (items.some(isVoid)) return items.map((item) => (isVoid(item) ? VOID : 'busy'));
    return this.storeAll(items, connection);
  }

  private async storeAll(items: readonly Item[], connection: EngineConnection) {
    const sagas = items.flatMap((item) => ('saga' in item ? [item.saga] : []));
    const writes = items.flatMap((item) => ('write' in item ? [item.write] : []));
    const { statement, values } = this.statements.of({ sagas, writes }, false);
    const rows = await this.send({ sagas, writes }, () => connection.query<WriteRow>(statement, values));
    const appended = appendedOf(outcomeOf(rows));
    const missing = writes.filter((_, n) => !appended.has(n));
    const epochs = missing.length > 0 ? await this.epochs(connection, missing) : undefined;
    const answers = writes.map((write, n) => answerOf(write, appended.get(n), epochs?.get(write.sagaId)));
    return items.map((item) => ('saga' in item ? CREATED : (answers.shift() ?? 'busy')));
  }

  private async send<T>({ sagas, writes }: WriteBatch, query: () => Promise<T>): Promise<T> {
    const { clock, flushed, reach } = this.settings;
    const kinds = [
      ...(sagas.length > 0 ? ['create' as const] : []),
      ...(writes.length > 0 ? ['journal' as const] : []),
    ];
    const startedAt = clock.monotonic();
    for (const kind of kinds) reach(`${kind}.sending`);
    const sent = query();
    for (const kind of kinds) reach(`${kind}.sent`);
    const result = await sent;
    for (const kind of kinds) reach(`${kind}.stored`);
    flushed({ sagas, writes, durationMs: clock.monotonic() - startedAt });
    return result;
  }

  private async epochs(connection: EngineConnection, writes: readonly SagaWrite[]) {
    const ids = writes.map(({ sagaId }) => sagaId);
    const rows = await connection.query<{ id: string; epoch: string }>(epochsSql(this.settings.tables), [
      ids,
    ]);
    return new Map(rows.map(({ id, epoch }) => [id, Number(epoch)]));
  }
}

/** Its saga was read from a history of the database that is not the present one. */
const VOID = {
  error: new FencedError('the database has failed over: what this process knows of the saga may be lost'),
};
const CREATED = { value: { cancelRequested: false, stored: true } } as const;

/** Without an outcome its row was locked, or the saga belongs to another claim by now. */
function answerOf(
  write: SagaWrite,
  appended: Appended | undefined,
  epoch: number | undefined,
): Answer<Appended> {
  if (appended) return { value: appended };
  return epoch === write.epoch ? 'busy' : { error: fenced(write) };
}
