import { writtenAsOurs } from '../../events/uuid-v7.js';
import type { Clock } from '../../runtime/clock.js';
import { groupBy } from '../../runtime/group-by.js';
import {
  OWN_AGE_MS,
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
  type SagaRelease,
  type SagaRow,
  type SagaTransaction,
  type SagaWrite,
  type SignalAnswer,
  type StoredDefinition,
  type StoredSignal,
  type StrandedSagas,
} from '../../saga/saga-storage.js';
import { CommitUnknownError, FencedError, TransactionRequiredError } from '../../saga/state/errors.js';
import type { JournalEntry } from '../../saga/state/journal.js';
import { isEnded, type SagaStatus } from '../../saga/state/saga-status.js';
import type { SagaVersion } from '../../saga/state/saga-version.js';
import { sagaNumbersOf } from '../saga-numbers.js';
import type { MemoryDatabase, MemorySaga } from './memory-database.js';

/** A late result matters to a saga that turns back or has turned back. */
const REOPENED: ReadonlySet<SagaStatus> = new Set(['compensating', 'compensated', 'failed']);
/** A signal is of use to a saga that goes forward, or may again. */
const SIGNALLED: ReadonlySet<SagaStatus> = new Set(['pending', 'running', 'waiting', 'parked']);
/** What retention deletes. */
const EXPIRES: ReadonlySet<SagaStatus> = new Set(['completed', 'compensated']);
const REPEATED = 'an entry of this write is there already';

/** Sagas in memory, for tests and first steps: nothing survives the process. Every method is one atomic step. */
export class MemorySagaStorage extends SagaStorage<undefined> {
  readonly kind = 'memory';

  constructor(
    private readonly database: MemoryDatabase,
    private readonly clock: Clock,
  ) {
    super();
  }

  create(saga: NewSaga, tx?: unknown): Promise<CreatedSaga> {
    if (tx !== undefined)
      return Promise.reject(
        new TransactionRequiredError('memory storage cannot join a transaction; use storage: "typeorm"'),
      );
    const { sagaId, owner, timeoutMs, delayMs, launchesPivot } = saga;
    const taken = this.takeKey(saga);
    if (taken)
      return Promise.resolve({
        outcome: taken.inputHash === saga.inputHash ? 'existing' : 'conflict',
        sagaId: taken.sagaId,
      });
    const status = delayMs !== undefined ? 'waiting' : owner === undefined ? 'pending' : 'running';
    const epoch = owner === undefined ? 0 : 1;
    const startsAt = this.clock.monotonic() + (delayMs ?? 0);
    const startedAt = new Date(this.clock.now() + (delayMs ?? 0));
    const row: MemorySaga = {
      saga,
      startedAt,
      journal: [],
      signals: [],
      status,
      epoch,
      owner,
      endedAt: null,
      results: null,
      error: null,
      deadlineAt: timeoutMs === undefined ? undefined : startsAt + timeoutMs,
      wakeAt: delayMs === undefined ? undefined : startsAt,
      cancelRequested: false,
      pivotLaunched: launchesPivot,
    };
    this.database.sagas.set(sagaId, row);
    this.database.unfinished.add(row);
    return Promise.resolve({ outcome: 'created', sagaId });
  }

  append(write: SagaWrite): Promise<Appended> {
    const row = this.database.sagas.get(write.sagaId);
    if (row?.epoch !== write.epoch) return Promise.reject(fenced(write));
    const { cancelRequested } = row;
    const pointOfNoReturn = write.launchesPivot === true || write.status === 'completed';
    const missed = write.signalSeq !== undefined && write.signalSeq < row.signals.length;
    const refused = missed || (cancelRequested && pointOfNoReturn);
    if (!refused) this.store(row, write);
    const { startedAt, endedAt } = row;
    const ended = write.end && endedAt ? { ended: { startedAt, endedAt } } : {};
    return Promise.resolve({ cancelRequested, stored: !refused, ...ended });
  }

  private store(row: MemorySaga, write: SagaWrite): void {
    const at = this.clock.monotonic();
    // Entries have their numbers without a gap.
    const fresh = write.entries.filter(({ seq }) => seq > row.journal.length);
    if (fresh.length === 0 && write.entries.length > 0) return;
    for (const entry of fresh) row.journal.push({ entry, at });
    this.database.addEvents(write.events, this.clock.monotonic());
    if (write.status) row.status = write.status;
    if (write.launchesPivot) row.pivotLaunched = true;
    if (write.end) this.end(row, write.end);
    if (write.release) this.release(row, write.release);
  }

  private release(row: MemorySaga, { wakeInMs }: SagaRelease): void {
    const restMs = wakeInMs ?? (row.status === 'waiting' ? Infinity : undefined);
    // A saga that turns back has heard of the cancel.
    const unheard = row.cancelRequested && row.status !== 'compensating';
    row.owner = undefined;
    row.wakeAt = restMs === undefined || unheard ? undefined : this.clock.monotonic() + restMs;
  }

  begin(): Promise<SagaTransaction<undefined>> {
    return Promise.resolve({
      tx: undefined,
      run: (work) => work(),
      commit: (write) =>
        this.has(write) ? Promise.reject(new CommitUnknownError(REPEATED)) : this.append(write),
      rollback: () => Promise.resolve(),
    });
  }

  isTransient(): boolean {
    return false;
  }

  claim(request: ClaimRequest): Promise<readonly ClaimedSaga[]> {
    const free = [...this.database.unfinished].filter(
      (row) => canRun(request.versions, row.saga) && this.isFree(row, request),
    );
    return Promise.resolve(free.slice(0, request.limit).map((row) => this.take(row, request.workerId)));
  }

  requestCancel(sagaId: string): Promise<CancelAnswer> {
    const row = this.row(sagaId);
    if (!row) return Promise.resolve('not_found');
    if (row.status === 'compensating') return Promise.resolve('requested');
    if (isEnded(row.status) || row.pivotLaunched) return Promise.resolve('too_late');
    row.cancelRequested = true;
    row.wakeAt = undefined;
    return Promise.resolve('requested');
  }

  cancelRequested(sagaIds: readonly string[]): Promise<readonly string[]> {
    const wanted = (row: MemorySaga | undefined) => row?.cancelRequested === true && row.status === 'running';
    return Promise.resolve(sagaIds.filter((id) => wanted(this.database.sagas.get(id))));
  }

  taken(held: readonly HeldSaga[]): Promise<readonly string[]> {
    const { sagas } = this.database;
    const gone = held.filter(({ sagaId, epoch }) => (sagas.get(sagaId)?.epoch ?? epoch) > epoch);
    return Promise.resolve(gone.map(({ sagaId }) => sagaId));
  }

  signal(signal: NewSignal): Promise<SignalAnswer> {
    const row = this.row(signal.sagaId);
    if (!row) return Promise.resolve('not_found');
    if (row.signals.some(({ id }) => id === signal.id)) return Promise.resolve('duplicate');
    if (!SIGNALLED.has(row.status)) return Promise.resolve('too_late');
    row.signals.push({ ...signal, seq: row.signals.length + 1 });
    if (row.status === 'waiting' && row.epoch > 0) row.wakeAt = undefined;
    return Promise.resolve('accepted');
  }

  signals(known: readonly KnownSignals[]): Promise<readonly StoredSignal[]> {
    const { sagas } = this.database;
    const found = known.flatMap(({ sagaId, seq }) => sagas.get(sagaId)?.signals.slice(seq) ?? []);
    return Promise.resolve(found);
  }

  findKey(name: string, idempotencyKey: string): Promise<string | undefined> {
    return Promise.resolve(this.database.keys.get(keyOf(name, idempotencyKey))?.sagaId);
  }

  reopen({ sagaId, workerId, step, text }: LateResult): Promise<ClaimedSaga | undefined> {
    const row = this.database.sagas.get(sagaId);
    if (!row || !REOPENED.has(row.status)) return Promise.resolve(undefined);
    const entry = { kind: 'late_completed', step, attempt: 0, launch: [], data: text } as const;
    const seq = row.journal.length + 1;
    row.journal.push({ entry: { ...entry, seq, epoch: row.epoch + 1 }, at: this.clock.monotonic() });
    row.status = 'compensating';
    row.endedAt = null;
    this.database.unfinished.add(row);
    return Promise.resolve(this.take(row, workerId));
  }

  saveDefinition(definition: StoredDefinition): Promise<void> {
    this.database.definitions.set(definitionKey(definition), definition);
    return Promise.resolve();
  }

  findDefinition(wanted: Omit<StoredDefinition, 'data'>): Promise<string | undefined> {
    return Promise.resolve(this.database.definitions.get(definitionKey(wanted))?.data);
  }

  numbers(): Promise<SagaNumbers> {
    const sagas = [...this.database.sagas.values()];
    return Promise.resolve(sagaNumbersOf(sagas.map(({ status }) => ({ status, count: 1 }))));
  }

  stranded(): Promise<readonly StrandedSagas[]> {
    const now = this.clock.monotonic();
    const living = [...this.database.workers].filter(([id]) => !this.database.isDead(id, now));
    const known = living.flatMap(([, { definitions = [] }]) => definitions);
    const lost = [...this.database.unfinished].filter(({ saga }) => !canRun(known, saga));
    const groups = groupBy(lost, ({ saga: { name, version, definition: hash } }) =>
      definitionKey({ name, version, hash }),
    );
    return Promise.resolve([...groups.values()].flatMap(strandedOf));
  }

  deleteExpired({
    sagasMs = Infinity,
    keysMs,
    limit,
  }: RetentionLimits): Promise<{ sagas: number; keys: number }> {
    const { sagas, keys } = this.database;
    const oldest = this.clock.now() - sagasMs;
    const expired = [...sagas].filter(
      ([, { status, endedAt }]) => EXPIRES.has(status) && endedAt !== null && endedAt.getTime() < oldest,
    );
    const old = this.clock.monotonic() - keysMs;
    const used = [...keys].filter(([, { at, sagaId }]) => {
      const status = sagas.get(sagaId)?.status;
      return at < old && (status === undefined || isEnded(status));
    });
    for (const [id] of expired.slice(0, limit)) sagas.delete(id);
    for (const [key] of used.slice(0, limit)) keys.delete(key);
    return Promise.resolve({ sagas: Math.min(limit, expired.length), keys: Math.min(limit, used.length) });
  }

  find(sagaId: string): Promise<SagaRow | undefined> {
    const row = this.row(sagaId);
    if (!row) return Promise.resolve(undefined);
    return Promise.resolve(rowOf(row));
  }

  list({
    statuses,
    name,
    tags,
    startedAfter,
    startedBefore,
    limit,
    after,
  }: ListQuery): Promise<readonly ListedSaga[]> {
    const wanted = Object.entries(tags);
    const found = [...this.database.sagas.values()].filter(
      ({ saga, status, startedAt }) =>
        statuses.includes(status) &&
        (name === undefined || saga.name === name) &&
        wanted.every(([tag, value]) => saga.tags[tag] === value) &&
        (startedAfter === undefined || startedAt > startedAfter) &&
        (startedBefore === undefined || startedAt < startedBefore) &&
        (after === undefined || saga.sagaId < after),
    );
    const newest = found.sort((a, b) => (a.saga.sagaId > b.saga.sagaId ? -1 : 1));
    return Promise.resolve(newest.slice(0, limit).map(listedOf));
  }

  ended(sagaIds: readonly string[]): Promise<readonly string[]> {
    const { sagas } = this.database;
    return Promise.resolve(sagaIds.filter((id) => isEnded(sagas.get(id)?.status ?? 'completed')));
  }

  journal(sagaId: string): Promise<readonly JournalEntry[]> {
    const journal = this.row(sagaId)?.journal ?? [];
    const now = this.clock.monotonic();
    const wall = this.clock.now();
    return Promise.resolve(
      journal.map(({ entry, at }) => ({ ...entry, ageMs: now - at, at: new Date(wall - (now - at)) })),
    );
  }

  /** By an id that a caller may have copied in upper case, as a database finds it too. */
  private row(sagaId: string): MemorySaga | undefined {
    return this.database.sagas.get(writtenAsOurs(sagaId));
  }

  /** Under this epoch: what another owner wrote is a matter of the fence. */
  private has({ sagaId, epoch, entries }: SagaWrite): boolean {
    const row = this.database.sagas.get(sagaId);
    return row?.epoch === epoch && entries.some(({ seq }) => seq <= row.journal.length);
  }

  private takeKey({ name, idempotencyKey, sagaId, inputHash }: NewSaga) {
    if (idempotencyKey === undefined) return undefined;
    const key = keyOf(name, idempotencyKey);
    const taken = this.database.keys.get(key);
    if (!taken) this.database.keys.set(key, { sagaId, inputHash, at: this.clock.monotonic() });
    return taken;
  }

  private end(row: MemorySaga, end: { readonly results: string; readonly error: string | null }): void {
    row.results = end.results;
    row.error = end.error;
    row.owner = undefined;
    this.database.unfinished.delete(row);
    row.endedAt = new Date(this.clock.now());
  }

  private isFree(
    { owner, saga, startedAt, wakeAt }: MemorySaga,
    { workerId, held, lost, only }: ClaimRequest,
  ): boolean {
    if (only !== undefined && saga.sagaId !== only) return false;
    if (owner === undefined) return wakeAt === undefined || wakeAt <= this.clock.monotonic();
    if (owner === workerId) {
      const old = this.clock.now() - startedAt.getTime() > OWN_AGE_MS;
      return lost.includes(saga.sagaId) || (old && !held.includes(saga.sagaId));
    }
    return this.database.isDead(owner, this.clock.monotonic());
  }

  private take(row: MemorySaga, workerId: string): ClaimedSaga {
    const silentMs =
      row.owner === undefined ? undefined : this.database.silence(row.owner, this.clock.monotonic());
    const orphaned = row.owner !== undefined && row.owner !== workerId;
    row.owner = workerId;
    row.epoch += 1;
    row.wakeAt = undefined;
    if (row.status === 'pending' || row.status === 'waiting') row.status = 'running';
    const now = this.clock.monotonic();
    const { sagaId, name, version, definition, input, correlationId, headers, launch } = row.saga;
    const { epoch, status, cancelRequested, deadlineAt } = row;
    const journal = row.journal.map(({ entry, at }) => ({ ...entry, ageMs: now - at }));
    return {
      ...{ sagaId, name, version, definition, input, correlationId, headers, launch },
      ...{ epoch, status, journal, silentMs, orphaned, cancelRequested },
      signals: [...row.signals],
      ageMs: this.clock.now() - row.startedAt.getTime(),
      deadlineInMs: deadlineAt === undefined ? undefined : deadlineAt - now,
    };
  }
}

/** Sagas that were started before definitions were stored have an empty hash. */
function canRun(versions: readonly SagaVersion[], { name, version, definition }: NewSaga): boolean {
  return versions.some(
    (it) =>
      it.name === name &&
      it.version === version &&
      (it.hash === undefined || definition === '' || it.hash === definition),
  );
}

function definitionKey({ name, version, hash }: Omit<StoredDefinition, 'data'>): string {
  return JSON.stringify([name, version, hash]);
}

function strandedOf(rows: readonly MemorySaga[]): StrandedSagas[] {
  const [first] = rows;
  if (!first) return [];
  const { name, version, definition: hash } = first.saga;
  const since = new Date(Math.min(...rows.map(({ startedAt }) => startedAt.getTime())));
  return [{ name, version, hash, count: rows.length, since }];
}

function keyOf(name: string, idempotencyKey: string): string {
  return JSON.stringify([name, idempotencyKey]);
}

function rowOf(row: MemorySaga): SagaRow {
  return { ...listedOf(row), results: row.results };
}

function listedOf(row: MemorySaga): ListedSaga {
  const { saga, status, epoch, cancelRequested, startedAt, endedAt, error } = row;
  const { sagaId, name, version, definition, tags, correlationId, launch } = saga;
  const now = { status, epoch, cancelRequested, startedAt, endedAt, error };
  return { sagaId, name, version, definition, tags, correlationId, launch, ...now };
}

function fenced({ sagaId, epoch }: SagaWrite): FencedError {
  return new FencedError(`saga ${sagaId} is not owned under epoch ${epoch} any more`);
}
