import type { Appended, NewSaga, SagaWrite } from '../../saga/saga-storage.js';
import { FencedError } from '../../saga/state/errors.js';
import type { Tables } from './identifiers.js';
import { writeStatement, type WriteInput, type WriteStatement } from './sql/write-sql.js';

/** What one statement stores. */
export interface WriteBatch {
  readonly sagas: readonly NewSaga[];
  readonly writes: readonly SagaWrite[];
}

/** What comes back for each write that was held under its epoch. */
export interface WriteOutcome {
  /** Its place among the writes. */
  readonly n: number;
  readonly cancelled: boolean;
  /** False when a request to cancel refused it. */
  readonly allowed: boolean;
  /** False when it was stored before. */
  readonly fresh: boolean;
}

/** Texts of statements by what they store: there are a dozen in practice. */
export class WriteStatements {
  private readonly made = new Map<string, WriteStatement>();

  constructor(private readonly tables: Tables) {}

  /** @param waits whether it waits for rows that others hold */
  of({ sagas, writes }: WriteBatch, waits: boolean): WriteStatement {
    const shape = {
      creates: sagas.length > 0,
      keys: sagas.some(({ idempotencyKey }) => idempotencyKey !== undefined),
      writes: writes.length > 0,
      changes: writes.some((it) => it.status !== undefined || it.release !== undefined || it.launchesPivot),
      ends: writes.some(({ end }) => end !== undefined),
      events: writes.some(({ events }) => events.length > 0),
      waits,
    };
    const name = Object.values(shape).join();
    const statement = this.made.get(name) ?? writeStatement(this.tables, shape);
    this.made.set(name, statement);
    return statement;
  }
}

/** The values of a statement's parameters. */
export function writeValues({ inputs }: WriteStatement, batch: WriteBatch): unknown[] {
  return inputs.map((input) => VALUES[input](batch));
}

const VALUES: Readonly<Record<WriteInput, (batch: WriteBatch) => unknown>> = {
  sagas: ({ sagas }) => JSON.stringify(sagas.map(sagaRow)),
  writes: ({ writes }) => JSON.stringify(writes.map(writeRow)),
  ids: ({ writes }) => writes.map(({ sagaId }) => sagaId),
  entries: ({ writes }) => JSON.stringify(writes.flatMap(entryRows)),
  events: ({ writes }) => JSON.stringify(writes.flatMap(eventRows)),
};

function sagaRow(saga: NewSaga) {
  const {
    sagaId: id,
    name,
    version,
    input,
    idempotencyKey: key,
    inputHash: hash,
    owner,
    launch,
    tags,
  } = saga;
  const { correlationId: correlation, launchesPivot: pivot, timeoutMs: timeout } = saga;
  return { id, name, version, input, key, hash, owner, launch, correlation, tags, pivot, timeout };
}

function writeRow({ sagaId: id, epoch, entries, status, end, release, launchesPivot }: SagaWrite, n: number) {
  return {
    ...{ n, id, epoch, status, bare: entries.length === 0, pivot: launchesPivot === true },
    ...{ ended: end !== undefined, results: end?.results, error: end?.error },
    ...{ released: release !== undefined, wake: release?.wakeInMs },
  };
}

function entryRows({ entries }: SagaWrite, n: number) {
  return entries.map(({ seq, kind, step, attempt, launch, data }) => ({
    ...{ n, seq, kind, step, attempt, launch, data },
  }));
}

function eventRows({ events }: SagaWrite, n: number) {
  return events.map((event, place) => ({
    ...{
      n,
      place: n * PLACES + place,
      shard: event.shard,
      event_id: event.eventId,
      destination: event.destination,
    },
    ...{
      type: event.type,
      key: event.key,
      aggregate_type: event.aggregateType,
      aggregate_id: event.aggregateId,
    },
    ...{ payload: event.payload, headers: event.headers },
  }));
}

/** More than the events of one write. */
const PLACES = 100_000;

export function appendedOf({ cancelled, allowed }: WriteOutcome): Appended {
  return { cancelRequested: cancelled, stored: allowed };
}

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
