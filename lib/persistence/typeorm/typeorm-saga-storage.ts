import type { DataSource, EntityManager, QueryRunner } from 'typeorm';
import { firstIdOf, isUuid, writtenAsOurs } from '../../events/uuid-v7.js';
import type { DebugProbe } from '../../runtime/debug-points.js';
import {
  SagaStorage,
  type Appended,
  type CancelAnswer,
  type ClaimedSaga,
  type ClaimRequest,
  type CreatedSaga,
  type LateResult,
  type ListedSaga,
  type ListQuery,
  type HeldSaga,
  type KnownSignals,
  type NewSaga,
  type NewSignal,
  type RetentionLimits,
  type SagaNumbers,
  type SagaRow,
  type SagaWrite,
  type SignalAnswer,
  type StoredDefinition,
  type StoredSignal,
  type StrandedSagas,
} from '../../saga/saga-storage.js';
import { CommitUnknownError } from '../../saga/state/errors.js';
import { sagaNumbersOf } from '../saga-numbers.js';
import type { JournalEntry } from '../../saga/state/journal.js';
import { Semaphore } from '../../runtime/semaphore.js';
import type { Clock } from '../../runtime/clock.js';
import type { Tables } from './identifiers.js';
import type { CommitWatch } from './commit-watch.js';
import { HandlerTransaction } from './handler-transaction.js';
import type { History } from './history.js';
import { engineTransaction, type Query } from './engine-transaction.js';
import { JournalWriter, type Flushed } from './journal-writer.js';
import { openTransaction } from './open-transaction.js';
import { SagaCreator } from './saga-creator.js';
import { MOST_COUNTED } from './outbox-counts.js';
import { lockKeysSql } from './sql/outbox-sql.js';
import {
  headersOf,
  withDates,
  type StoredListed,
  type StoredRow,
  type JournalRow,
  type SignalRow,
  type ClaimedRow,
} from './saga-rows.js';
import * as sql from './sql/saga-sql.js';
import { isTransient } from './sql-state.js';
import type { TransactionScope } from './transaction-scope.js';
import { TypeOrmSagaTransaction } from './typeorm-saga-transaction.js';
import { appendedOf, outcomeOf, fenced, WriteStatements, type WriteRow } from './write-batch.js';

/** What both storages work on. */
export interface TypeOrmStorageSettings {
  /** The application's: transactional steps and events of the caller's transactions. */
  readonly application: DataSource;
  /** The engine's own small pool: everything else. */
  readonly engine: DataSource;
  readonly tables: Tables;
  readonly scope: TransactionScope;
  readonly commits: CommitWatch;
  readonly history: History;
  readonly reach: DebugProbe;
  readonly clock: Clock;
  /** Whether our own statements may have names. */
  readonly named: () => boolean;
  /** Called after each flush of the journal. */
  readonly flushed: (flush: Flushed) => void;
  /** Producers of events take turns by key. */
  readonly orderLock: boolean;
  /** Only a bench that measures what group commit saves changes it. */
  readonly groupCommit?: { readonly lanes: number; readonly maxRows: number };
}

/** Connections of the application's pool that steps leave to its own queries. */
const LEFT_TO_APPLICATION = 2;

/** Transactional steps work on the application's pool: more of them would leave its requests and themselves waiting. */
function transactionsAtOnce(application: DataSource): number {
  const { master } = application.driver as unknown as { master: { options: { max: number } } };
  return Math.max(1, master.options.max - LEFT_TO_APPLICATION);
}

interface InputRow {
  readonly sagaId: string;
  readonly input: string;
  /** JSON text. */
  readonly headers: string | null;
}

const NIL = '00000000-0000-0000-0000-000000000000';

/** Sagas in PostgreSQL. Every write is one statement, fenced by the row lock on the saga and its epoch. */
export class TypeOrmSagaStorage extends SagaStorage<EntityManager> {
  readonly kind = 'typeorm';

  private readonly writer: JournalWriter;
  private readonly creator: SagaCreator;
  private readonly statements: WriteStatements;
  /** Where the next batch of deletions begins. */
  private expiredUpTo = NIL;
  /** For transactional steps: made when the application's pool is open. */
  private room: Semaphore | undefined;

  constructor(private readonly settings: TypeOrmStorageSettings) {
    super();
    this.statements = new WriteStatements(settings.tables);
    this.writer = new JournalWriter({ ...settings, ...settings.groupCommit });
    this.creator = new SagaCreator({ ...settings, writer: this.writer });
  }

  /** Closes the connection of the journal; what has not been written fails. */
  async close(): Promise<void> {
    this.creator.close();
    await this.writer.close();
  }

  create(saga: NewSaga, tx?: EntityManager, committed?: () => void): Promise<CreatedSaga> {
    return tx === undefined ? this.creator.create(saga) : this.createIn(tx, saga, committed);
  }

  private async createIn(
    tx: EntityManager,
    saga: NewSaga,
    committed: (() => void) | undefined,
  ): Promise<CreatedSaga> {
    const runner = openTransaction(tx);
    const created = await this.creator.createIn(runner, saga);
    if (committed && created.outcome === 'created') this.settings.commits.after(runner, committed);
    return created;
  }

  append(write: SagaWrite): Promise<Appended> {
    return this.writer.append(write);
  }

  async begin(): Promise<TypeOrmSagaTransaction> {
    this.room ??= new Semaphore(transactionsAtOnce(this.settings.application));
    const ended = await this.room.enter();
    const { scope, reach, history } = this.settings;
    const transaction = await HandlerTransaction.begin(this.settings, 'READ COMMITTED').catch(
      (error: unknown) => {
        ended();
        throw error;
      },
    );
    const begun = history.number;
    reach('transaction.opened');
    return new TypeOrmSagaTransaction(transaction, {
      scope,
      reach,
      ended,
      store: async (query, write) => {
        if (history.isBroken || history.number !== begun) throw fenced(write);
        const keys = write.events.map(({ key }) => key);
        if (this.settings.orderLock && keys.length > 0) await query(lockKeysSql, [keys]);
        return this.store(query, write);
      },
    });
  }

  isTransient(error: unknown): boolean {
    return isTransient(error);
  }

  async claim({
    workerId,
    versions,
    held,
    lost,
    only,
    limit,
  }: ClaimRequest): Promise<readonly ClaimedSaga[]> {
    const names = versions.map(({ name }) => name);
    const numbers = versions.map(({ version }) => version);
    const hashes = versions.map(({ hash }) => hash ?? null);
    const parameters = [workerId, names, numbers, held, limit, only ?? null, lost, hashes];
    const { reach, engine } = this.settings;
    reach('claim.sending');
    const [claimed] = await this.rows<ClaimedRow[]>(engine, sql.claimSql, parameters);
    if (!claimed || claimed.length === 0) return [];
    reach('claim.stored');
    const sagas = await this.withTexts(claimed);
    reach('claim.read');
    return sagas;
  }

  async requestCancel(sagaId: string): Promise<CancelAnswer> {
    if (!isUuid(sagaId)) return 'not_found';
    const { engine } = this.settings;
    const [rows = []] = await this.rows<{ id: string }[]>(engine, sql.requestCancelSql, [sagaId]);
    if (rows.length > 0) return 'requested';
    return (await this.find(sagaId)) ? 'too_late' : 'not_found';
  }

  async cancelRequested(sagaIds: readonly string[]): Promise<readonly string[]> {
    const rows = await this.rows<{ id: string }>(this.settings.engine, sql.cancelRequestedSql, [sagaIds]);
    return rows.map(({ id }) => id);
  }

  async taken(held: readonly HeldSaga[]): Promise<readonly string[]> {
    if (held.length === 0) return [];
    const parameters = [held.map(({ sagaId }) => sagaId), held.map(({ epoch }) => epoch)];
    const rows = await this.rows<{ id: string }>(this.settings.engine, sql.takenSql, parameters);
    return rows.map(({ id }) => id);
  }

  async signal({ sagaId, id, name, payload }: NewSignal): Promise<SignalAnswer> {
    if (!isUuid(sagaId)) return 'not_found';
    const { engine } = this.settings;
    const [row] = await this.rows<SignalRow>(engine, sql.signalSql, [sagaId, id, name, payload]);
    if (!row) return 'not_found';
    if (row.accepted) return 'accepted';
    // Refused by its id while it was of use: another call has just stored it.
    return row.known || row.early ? 'duplicate' : 'too_late';
  }

  async signals(known: readonly KnownSignals[]): Promise<readonly StoredSignal[]> {
    if (known.length === 0) return [];
    const parameters = [known.map(({ sagaId }) => sagaId), known.map(({ seq }) => seq)];
    return this.rows<StoredSignal>(this.settings.engine, sql.signalsSql, parameters);
  }

  async findKey(name: string, idempotencyKey: string): Promise<string | undefined> {
    const { engine } = this.settings;
    const [row] = await this.rows<{ sagaId: string }>(engine, sql.findKeySql, [name, idempotencyKey]);
    return row?.sagaId;
  }

  async reopen({ sagaId, workerId, step, text }: LateResult): Promise<ClaimedSaga | undefined> {
    const claimed = await engineTransaction(this.settings.engine, async (on) => {
      const [rows = []] = await this.rows<ClaimedRow[]>(on, sql.reopenSql, [sagaId, workerId]);
      for (const { epoch } of rows) await this.rows(on, sql.lateEntrySql, [sagaId, epoch, step, text]);
      return rows;
    });
    return (await this.withTexts(claimed))[0];
  }

  async saveDefinition({ name, version, hash, data }: StoredDefinition): Promise<void> {
    await this.rows(this.settings.engine, sql.saveDefinitionSql, [name, version, hash, data]);
  }

  async findDefinition(wanted: Omit<StoredDefinition, 'data'>): Promise<string | undefined> {
    const { name, version, hash } = wanted;
    const { engine } = this.settings;
    const [row] = await this.rows<{ data: string }>(engine, sql.findDefinitionSql, [name, version, hash]);
    return row?.data;
  }

  async numbers(): Promise<SagaNumbers> {
    return sagaNumbersOf(await this.rows(this.settings.engine, sql.sagaNumbersSql, [MOST_COUNTED]));
  }

  async stranded(): Promise<readonly StrandedSagas[]> {
    const rows = await this.rows<StrandedSagas>(this.settings.engine, sql.strandedSql, [MOST_COUNTED]);
    return rows.map((row) => ({ ...row, since: new Date(row.since) }));
  }

  async deleteExpired({ sagasMs, keysMs, limit }: RetentionLimits): Promise<{ sagas: number; keys: number }> {
    const { engine } = this.settings;
    const sagas = sagasMs === undefined ? 0 : await this.deleteSagas(sagasMs, limit);
    const [keys = []] = await this.rows<unknown[]>(engine, sql.deleteKeysSql, [keysMs, limit]);
    return { sagas, keys: keys.length };
  }

  private async deleteSagas(ms: number, limit: number): Promise<number> {
    const youngest = firstIdOf(Date.now() - ms);
    const parameters = [ms, youngest, limit, this.expiredUpTo];
    const [deleted = []] = await this.rows<{ id: string }[]>(
      this.settings.engine,
      sql.deleteSagasSql,
      parameters,
    );
    // From the beginning again when there is nothing more: what was held then may be free now.
    this.expiredUpTo =
      deleted.length < limit
        ? NIL
        : (deleted
            .map(({ id }) => id)
            .sort()
            .at(-1) ?? NIL);
    return deleted.length;
  }

  async find(sagaId: string): Promise<SagaRow | undefined> {
    if (!isUuid(sagaId)) return undefined;
    const [row] = await this.rows<StoredRow>(this.settings.engine, sql.findSagaSql, [sagaId]);
    return row && withDates(row);
  }

  async list(query: ListQuery): Promise<readonly ListedSaga[]> {
    const {
      statuses,
      name = null,
      tags,
      startedAfter = null,
      startedBefore = null,
      limit,
      after = null,
    } = query;
    if (statuses.length === 0) return [];
    const parameters = [name, JSON.stringify(tags), startedAfter, startedBefore, after, limit];
    const text = (tables: Tables) => sql.listSagasSql(tables, statuses);
    return (await this.rows<StoredListed>(this.settings.engine, text, parameters)).map(withDates);
  }

  async ended(sagaIds: readonly string[]): Promise<readonly string[]> {
    if (sagaIds.length === 0) return [];
    const rows = await this.rows<{ id: string }>(this.settings.engine, sql.endedSql, [sagaIds]);
    return rows.map(({ id }) => id);
  }

  async journal(sagaId: string): Promise<readonly JournalEntry[]> {
    if (!isUuid(sagaId)) return [];
    const id = writtenAsOurs(sagaId);
    return (await this.journals([id])).get(id) ?? [];
  }

  /** Input and journal, read after the claim has committed. */
  private async withTexts(claimed: readonly ClaimedRow[]): Promise<readonly ClaimedSaga[]> {
    const ids = claimed.map(({ sagaId }) => sagaId);
    if (ids.length === 0) return [];
    const inputs = await this.rows<InputRow>(this.settings.engine, sql.inputsSql, [ids]);
    const journals = await this.journals(ids);
    const signals = await this.signals(
      claimed.filter(({ signalSeq }) => signalSeq > 0).map(({ sagaId }) => ({ sagaId, seq: 0 })),
    );
    const textsOf = new Map(inputs.map((row) => [row.sagaId, row]));
    return claimed.map((row) => ({
      ...row,
      epoch: Number(row.epoch),
      ageMs: Number(row.ageMs),
      silentMs: row.silentMs === null ? undefined : Number(row.silentMs),
      deadlineInMs: row.deadlineInMs === null ? undefined : Number(row.deadlineInMs),
      input: textsOf.get(row.sagaId)?.input ?? 'null',
      headers: headersOf(textsOf.get(row.sagaId)?.headers),
      journal: journals.get(row.sagaId) ?? [],
      signals: signals.filter(({ sagaId }) => sagaId === row.sagaId),
    }));
  }

  private async journals(ids: readonly string[]): Promise<ReadonlyMap<string, readonly JournalEntry[]>> {
    const rows = await this.rows<JournalRow>(this.settings.engine, sql.journalSql, [ids]);
    const journals = new Map<string, JournalEntry[]>(ids.map((id) => [id, []]));
    for (const { sagaId, epoch, ageMs, atMs, ...entry } of rows)
      journals
        .get(sagaId)
        ?.push({ ...entry, epoch: Number(epoch), ageMs: Number(ageMs), at: new Date(atMs) });
    return journals;
  }

  /** A write of a transactional step, on its own connection: waits for the row of the saga. */
  private async store(query: QueryRunner['query'], write: SagaWrite): Promise<Appended> {
    const batch = { sagas: [], writes: [write] };
    const { statement, values } = this.statements.of(batch, true);
    const rows = (await query(statement.text, [...values])) as WriteRow[];
    const outcome = outcomeOf(rows);
    const appended = appendedOf(outcome).get(0);
    if (!appended) throw fenced(write);
    // On a connection of its own a transaction cannot have written these entries before.
    if (outcome.repeated)
      throw new CommitUnknownError(`entry ${write.entries[0]?.seq} of saga ${write.sagaId} is there already`);
    return appended;
  }

  private async rows<T>(
    on: DataSource | QueryRunner['query'] | Query,
    text: (tables: Tables) => string,
    parameters: unknown[],
  ): Promise<T[]> {
    const sqlText = text(this.settings.tables);
    const rows: unknown = await (typeof on === 'function'
      ? on(sqlText, parameters)
      : on.query(sqlText, parameters));
    return rows as T[];
  }
}
