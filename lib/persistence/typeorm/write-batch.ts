import type { Appended, NewSaga, SagaWrite } from '../../saga/saga-storage.js';
import { FencedError } from '../../saga/state/errors.js';
import type { Tables } from './identifiers.js';
import type { Statement } from './engine-connection.js';
import { entryStatement, writeStatement, type WriteInput, type WriteStatement } from './sql/write-sql.js';

/** What one statement stores. */
export interface WriteBatch {
  readonly sagas: readonly NewSaga[];
  readonly writes: readonly SagaWrite[];
}

/** What became of writes, by their places in the batch; what is empty may be missing or null. */
export interface WriteOutcome {
  /** Their rows were to be had under their epochs. */
  readonly held: readonly number[] | null;
  /** Somebody wants the saga cancelled. */
  readonly cancelled: readonly number[] | null;
  /** That request refused the write, or a signal that its writer has not seen. */
  readonly refused: readonly number[] | null;
  /** Were stored before. */
  readonly repeated: readonly number[] | null;
  /** Ended their sagas: with start and end in milliseconds since the epoch, by the clock of the database. */
  readonly ended?: readonly (readonly [number, number, number])[] | null;
}

/** The row that comes back: of the statement for one entry, or of the general one. */
export type WriteRow =
  | { readonly cancelled: boolean; readonly repeated: boolean; readonly outcome?: undefined }
  | { readonly outcome: string };

/** A statement and what it is given. */
export interface Prepared {
  readonly statement: Statement;
  readonly values: readonly unknown[];
}

/** The statements that store batches, by what they store: there are a dozen in practice. */
export class WriteStatements {
  private readonly made = new Map<string, WriteStatement>();
  private readonly entry: Statement;

  constructor(private readonly tables: Tables) {
    this.entry = entryStatement(tables);
  }

  /** @param waits whether it waits for rows that others hold */
  of(batch: WriteBatch, waits: boolean): Prepared {
    const single = waits ? undefined : entryValues(batch);
    if (single) return { statement: this.entry, values: single };
    const statement = this.general(batch, waits);
    return { statement, values: statement.inputs.map((input) => VALUES[input](batch)) };
  }

  private general({ sagas, writes }: WriteBatch, waits: boolean): WriteStatement {
    const shape = {
      creates: sagas.length > 0,
      keys: sagas.some(({ idempotencyKey }) => idempotencyKey !== undefined),
      writes: writes.length > 0,
      changes: writes.some((it) => it.status !== undefined || it.release !== undefined || it.launchesPivot),
      ends: writes.some(({ end }) => end !== undefined),
      events: writes.some(({ events }) => events.length > 0),
      delays: writes.some(({ events }) => events.some(({ delayMs }) => delayMs !== undefined)),
      waits,
    };
    const name = Object.values(shape).join();
    const statement = this.made.get(name) ?? writeStatement(this.tables, shape);
    this.made.set(name, statement);
    return statement;
  }
}

/** Undefined unless the batch is one write of one entry that changes nothing else. */
function entryValues({ sagas, writes }: WriteBatch): unknown[] | undefined {
  const [write] = writes;
  if (!write || writes.length > 1 || sagas.length > 0) return undefined;
  const { sagaId, epoch, entries, events, status, release, launchesPivot, signalSeq } = write;
  const [entry] = entries;
  const more = entries.length > 1 || events.length > 0 || status !== undefined || release !== undefined;
  if (!entry || more || launchesPivot || signalSeq !== undefined) return undefined;
  const { seq, kind, step, attempt, launch, data } = entry;
  return [sagaId, epoch, seq, kind, step, attempt, launch, data];
}

const VALUES: Readonly<Record<WriteInput, (batch: WriteBatch) => unknown>> = {
  sagas: ({ sagas }) => JSON.stringify(sagas.map(sagaRow)),
  writes: ({ writes }) => JSON.stringify(writes.map(writeRow)),
  entries: ({ writes }) => JSON.stringify(writes.flatMap(entryRows)),
  events: ({ writes }) => JSON.stringify(writes.flatMap(eventRows)),
};

function sagaRow(saga: NewSaga) {
  const { sagaId, idempotencyKey, launch, correlationId, headers = {}, tags } = saga;
  return {
    id: sagaId,
    name: saga.name,
    version: saga.version,
    definition: saga.definition,
    input: saga.input,
    key: idempotencyKey,
    hash: idempotencyKey === undefined ? undefined : saga.inputHash,
    owner: saga.owner,
    launch: launch.length > 0 ? launch : undefined,
    correlation: correlationId === sagaId ? undefined : correlationId,
    headers: Object.keys(headers).length > 0 ? JSON.stringify(headers) : undefined,
    tags: Object.keys(tags).length > 0 ? tags : undefined,
    pivot: saga.launchesPivot || undefined,
    timeout: saga.timeoutMs,
    delay: saga.delayMs,
  };
}

/** What is not so, and what is not there, is left out: the text is half as long. */
function writeRow(write: SagaWrite, n: number) {
  const { sagaId, epoch, entries, status, end, release, launchesPivot, signalSeq } = write;
  return {
    n,
    id: sagaId,
    epoch,
    status,
    bare: entries.length === 0 || undefined,
    pivot: launchesPivot === true || undefined,
    ended: end !== undefined || undefined,
    results: end?.results,
    error: end?.error,
    released: release !== undefined || undefined,
    wake: release?.wakeInMs,
    seen: signalSeq,
  };
}

function entryRows({ entries }: SagaWrite, n: number) {
  return entries.map(({ seq, kind, step, attempt, launch, data }) => ({
    n,
    seq,
    kind,
    step: step ?? undefined,
    attempt,
    launch: launch.length > 0 ? launch : undefined,
    data: data ?? undefined,
  }));
}

function eventRows({ events }: SagaWrite, n: number) {
  return events.map((event, place) => ({
    n,
    place: n * PLACES + place,
    shard: event.shard,
    event_id: event.eventId,
    destination: event.destination,
    type: event.type,
    key: event.key,
    aggregate_type: event.aggregateType,
    aggregate_id: event.aggregateId,
    payload: event.payload,
    headers: event.headers,
    delay: event.delayMs,
  }));
}

/** More than the events of one write. */
const PLACES = 100_000;

export function outcomeOf([row]: readonly WriteRow[]): WriteOutcome {
  if (row?.outcome !== undefined) return JSON.parse(row.outcome) as WriteOutcome;
  if (!row) return { held: null, cancelled: null, refused: null, repeated: null };
  return {
    held: [0],
    cancelled: row.cancelled ? [0] : null,
    refused: null,
    repeated: row.repeated ? [0] : null,
  };
}

/** By the place of the write; none for one that was not held under its epoch. */
export function appendedOf(outcome: WriteOutcome): ReadonlyMap<number, Appended> {
  const { held, cancelled, refused, ended } = outcome;
  const appended = new Map<number, Appended>();
  for (const n of held ?? []) appended.set(n, STORED);
  for (const n of cancelled ?? []) appended.set(n, { cancelRequested: true, stored: true });
  for (const n of refused ?? []) appended.set(n, { ...(appended.get(n) ?? STORED), stored: false });
  for (const [n, startedMs, endedMs] of ended ?? []) {
    const times = { startedAt: new Date(startedMs), endedAt: new Date(endedMs) };
    appended.set(n, { cancelRequested: false, stored: true, ...appended.get(n), ended: times });
  }
  return appended;
}

const STORED: Appended = { cancelRequested: false, stored: true };

export function fenced({ sagaId, epoch }: SagaWrite): FencedError {
  return new FencedError(`saga ${sagaId} is not owned under epoch ${epoch} any more`);
}

/** About how many bytes the texts of a saga to be created have. */
export function sagaBytes({ input }: NewSaga): number {
  return ROW_BYTES + input.length;
}

export function writeBytes({ entries, events, end }: SagaWrite): number {
  let bytes = ROW_BYTES + (end ? end.results.length + (end.error?.length ?? 0) : 0);
  for (const { data } of entries) bytes += ROW_BYTES + (data?.length ?? 0);
  for (const { payload, headers } of events) bytes += ROW_BYTES + payload.length + headers.length;
  return bytes;
}

const ROW_BYTES = 200;
