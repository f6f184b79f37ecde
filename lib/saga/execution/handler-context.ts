import type { OutboxEventInput, OutboxRecord } from '../../events/outbox-event.js';
import type { ActionContext, ProbingContext, UndoContext } from '../definition/context.js';
import type { StepDefinition } from '../definition/saga-definition.js';
import { TransactionRequiredError } from '../state/errors.js';
import type { SignalRecord } from '../state/journal.js';
import type { Outcome } from '../state/step-status.js';
import type { AttemptSignal } from './attempt-signal.js';
import { stateOf, type SagaState } from './saga-state.js';

type AnyRecord = Record<string, unknown>;

/** One attempt of an action or undo. */
export interface Attempt {
  readonly step: StepDefinition;
  readonly number: number;
  /** Wall clock. */
  readonly deadlineMs: number;
  /** The transaction of a transactional step. */
  readonly tx: unknown;
  /** Takes the events that the handler publishes. */
  readonly events: OutboxRecord[];
  /** Set when the handler has settled: from then on it may not publish. */
  settled: boolean;
}

/** What the contexts of one saga share. */
export interface ContextSource {
  readonly sagaId: string;
  readonly sagaName: string;
  readonly epoch: number;
  readonly correlationId: string;
  readonly headers: Readonly<Record<string, string>>;
  /** JSON text. */
  readonly input: string;
  publish(attempt: Attempt, event: OutboxEventInput): Promise<string>;
}

/** What one attempt works with. */
export interface ContextParts {
  readonly source: ContextSource;
  readonly attempt: Attempt;
  readonly own: AttemptSignal;
  readonly state: SagaState;
}

/**
 * What a handler is given. Input and results are read from their texts when the handler asks for them, once for each
 * attempt: no handler sees another's changes, and what nobody reads costs nothing.
 */
class HandlerContext {
  readonly sagaId: string;
  readonly sagaName: string;
  readonly step: string;
  readonly attempt: number;
  readonly fencingToken: number;
  readonly correlationId: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly #parts: ContextParts;
  #input: { readonly value: AnyRecord } | undefined;
  #results: AnyRecord | undefined;
  #received: SignalRecord | undefined;

  constructor(parts: ContextParts) {
    const { source, attempt } = parts;
    this.#parts = parts;
    this.sagaId = source.sagaId;
    this.sagaName = source.sagaName;
    this.step = attempt.step.name;
    this.attempt = attempt.number;
    this.fencingToken = source.epoch;
    this.correlationId = source.correlationId;
    this.headers = source.headers;
  }

  get idempotencyKey(): string {
    return `${this.sagaId}:${this.step}`;
  }

  get input(): AnyRecord {
    this.#input ??= { value: JSON.parse(this.#parts.source.input) as AnyRecord };
    return this.#input.value;
  }

  get results(): AnyRecord {
    this.#results ??= resultsOf(this.#parts.state);
    return this.#results;
  }

  /** The signal that the step waited for. */
  protected get received(): SignalRecord | undefined {
    const { signal } = stateOf(this.#parts.state, this.step);
    if (signal === null) return undefined;
    this.#received ??= JSON.parse(signal) as SignalRecord;
    return this.#received;
  }

  get signal(): AbortSignal {
    return this.#parts.own.signal;
  }

  get deadline(): Date {
    return new Date(this.#parts.attempt.deadlineMs);
  }
}

/** Of an action or undo: it may write. */
class WritingContext extends HandlerContext {
  readonly publish: (event: OutboxEventInput) => Promise<string>;
  readonly #attempt: Attempt;

  constructor(parts: ContextParts) {
    super(parts);
    const { source, attempt } = parts;
    this.#attempt = attempt;
    this.publish = (event) => source.publish(attempt, event);
  }

  get manager(): unknown {
    const { tx, step } = this.#attempt;
    if (tx !== undefined) return tx;
    const why = step.transactional
      ? 'memory storage has no transactions'
      : `add transactional: true to the step "${step.name}"`;
    throw new TransactionRequiredError(`ctx.manager is not available in ${step.place}: ${why}`);
  }
}

export class StepContext extends WritingContext implements ActionContext<unknown, AnyRecord, unknown> {
  readonly phase = 'action';

  get signalPayload(): unknown {
    return this.received?.payload;
  }
}

export class ProbeStepContext extends HandlerContext implements ProbingContext<unknown, AnyRecord, unknown> {
  readonly phase = 'probe';
}

export class UndoStepContext
  extends WritingContext
  implements UndoContext<unknown, unknown, AnyRecord, unknown>
{
  readonly phase = 'undo';
  readonly outcome: Outcome;
  readonly result: unknown;

  constructor(parts: ContextParts) {
    super(parts);
    const { outcome = 'unknown', result } = stateOf(parts.state, this.step);
    this.outcome = outcome;
    this.result = result === null ? undefined : (JSON.parse(result) as unknown);
  }

  override get idempotencyKey(): string {
    return `${super.idempotencyKey}:undo`;
  }
}

/** The results of the completed steps, as fresh values. */
export function resultsOf(state: SagaState): AnyRecord {
  const results: AnyRecord = {};
  for (const [name, text] of resultTexts(state)) results[name] = JSON.parse(text);
  return results;
}

/** The results of the completed steps as JSON texts. */
export function resultTexts({ definition, steps }: SagaState): readonly (readonly [string, string])[] {
  const { names } = definition.graph;
  return steps.flatMap(({ result }, index) =>
    result === null ? [] : [[names[index] ?? '', result] as const],
  );
}
