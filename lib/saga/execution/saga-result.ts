import type { SagaDefinition } from '../definition/saga-definition.js';
import type { ListedSaga, SagaRow } from '../saga-storage.js';
import { CompensationFailedError } from '../state/errors.js';
import { failureOf } from '../state/journal.js';
import { isEnded, type SagaStatus } from '../state/saga-status.js';
import { failedUndos, openUndos } from './decisions.js';
import { resultTexts } from './handler-context.js';
import { stateOf, type SagaState } from './saga-state.js';

/** Why a saga did not complete. */
export interface SagaFailure {
  /** The error's own `code`, when it has one. */
  readonly code: string;
  readonly message: string;
  readonly step?: string;
  /** Steps whose effect may still be there, because their undo gave up or was never begun. */
  readonly standing?: readonly string[];
}

interface ResultBase {
  readonly sagaId: string;
  readonly sagaName: string;
  readonly startedAt: Date;
  readonly endedAt: Date;
  readonly durationMs: number;
}

/** How a saga ended. */
export type SagaResult<R = Record<string, unknown>> =
  | (ResultBase & { readonly status: 'completed'; readonly results: Readonly<R> })
  | (ResultBase & {
      readonly status: 'compensated' | 'failed' | 'parked';
      readonly results: Readonly<Partial<R>>;
      readonly error: SagaFailure;
    });

/** A saga as it stands now. */
export interface SagaSnapshot {
  readonly sagaId: string;
  readonly sagaName: string;
  readonly version: number;
  readonly status: SagaStatus;
  readonly tags: Readonly<Record<string, string>>;
  readonly correlationId: string;
  readonly startedAt: Date;
  readonly endedAt: Date | null;
  readonly error?: SagaFailure;
}

/** What is stored of an ended saga: JSON texts of its results and of its error. */
export function endOf(
  definition: SagaDefinition,
  state: SagaState,
): { results: string; error: string | null } {
  return {
    results: `{${resultTexts(state)
      .map(([name, text]) => `${JSON.stringify(name)}:${text}`)
      .join()}}`,
    error: JSON.stringify(failureOfSaga(definition, state) ?? null),
  };
}

function failureOfSaga(definition: SagaDefinition, state: SagaState): SagaFailure | undefined {
  const { failure, status } = state;
  if (status !== 'failed' || !failure) {
    const standing = status === 'compensated' ? standingPivot(state) : [];
    return failure && { ...withoutOutcome(failure), ...(standing.length > 0 && { standing }) };
  }
  const gaveUp = failedUndos(state);
  const standing = new Set([...gaveUp, ...openUndos(definition, state), ...standingPivot(state)]);
  const undone = gaveUp
    .map((name) => `undo of ${name} gave up: ${stateOf(state, name).undoFailure?.message}`)
    .join('; ');
  const names = definition.graph.names.filter((name) => standing.has(name));
  const error = new CompensationFailedError(`${failure.message} (${undone})`, names);
  return { ...failureOf(error, failure.step), standing: names };
}

/** A saga that an operator has turned back behind its point of no return: nothing undoes that. */
function standingPivot(state: SagaState): readonly string[] {
  const { pivot } = state.definition.graph;
  const outcome = pivot === undefined ? undefined : stateOf(state, pivot).outcome;
  return pivot === undefined || outcome === undefined || outcome === 'failed' ? [] : [pivot];
}

function withoutOutcome({ code, message, step }: SagaFailure): SagaFailure {
  return { code, message, ...(step !== undefined && { step }) };
}

export function snapshotOf(row: ListedSaga): SagaSnapshot {
  const { sagaId, name, version, status, tags, correlationId, startedAt, endedAt } = row;
  const error = row.error === null ? null : (JSON.parse(row.error) as SagaFailure | null);
  return {
    sagaId,
    sagaName: name,
    version,
    status,
    tags,
    correlationId,
    startedAt,
    endedAt,
    ...(error && { error }),
  };
}

/** What a result is made of. */
export type ResultRow = Pick<
  SagaRow,
  'sagaId' | 'name' | 'status' | 'startedAt' | 'endedAt' | 'results' | 'error'
>;

/** The result of a saga that has ended, else undefined. */
export function resultOf<R>(row: ResultRow): SagaResult<R> | undefined {
  const { sagaId, name, status, startedAt } = row;
  if (!isEnded(status)) return undefined;
  const endedAt = row.endedAt ?? startedAt;
  const base = {
    sagaId,
    sagaName: name,
    startedAt,
    endedAt,
    // One with a delay may be cancelled before it was to start.
    durationMs: Math.max(0, endedAt.getTime() - startedAt.getTime()),
  };
  const results = JSON.parse(row.results ?? '{}') as R;
  if (status === 'completed') return { status, results, ...base };
  const error = (JSON.parse(row.error ?? 'null') as SagaFailure | null) ?? {
    code: 'ERROR',
    message: 'unknown',
  };
  return { status, results, error, ...base };
}
