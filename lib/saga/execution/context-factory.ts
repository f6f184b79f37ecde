import { makeEvent, type EventRules } from '../../events/event-factory.js';
import type { OutboxEventInput, OutboxRecord } from '../../events/outbox-event.js';
import type { StepDefinition } from '../definition/saga-definition.js';
import type { ClaimedSaga } from '../saga-storage.js';
import { TransactionRequiredError } from '../state/errors.js';
import { eventError } from '../state/event-error.js';
import type { ActionContext, ProbingContext, UndoContext } from '../definition/context.js';
import { stateOf, type SagaState } from './saga-state.js';

/** One attempt of an action or undo. */
export interface Attempt {
  readonly step: StepDefinition;
  readonly number: number;
  readonly deadline: Date;
  /** The transaction of a transactional step. */
  readonly tx: unknown;
  /** Takes the events that the handler publishes. */
  readonly events: OutboxRecord[];
  /** Set when the handler has settled: from then on it may not publish. */
  settled: boolean;
}

const TOO_LATE = 'ctx.publish was called after the step had settled: await it inside the step';

type AnyRecord = Record<string, unknown>;

/** Makes the contexts of one saga's handlers. Input and results are parsed anew for each, so no handler sees another's changes. */
export class ContextFactory {
  constructor(
    private readonly saga: ClaimedSaga,
    private readonly events: EventRules,
  ) {}

  action(
    attempt: Attempt,
    signal: AbortSignal,
    state: SagaState,
  ): ActionContext<unknown, AnyRecord, unknown> {
    const base = this.base(attempt, signal, state);
    return this.complete(attempt, { ...base, ...this.publishing(attempt), phase: 'action' });
  }

  undo(
    attempt: Attempt,
    signal: AbortSignal,
    state: SagaState,
  ): UndoContext<unknown, unknown, AnyRecord, unknown> {
    const { outcome = 'unknown', result: text } = stateOf(state, attempt.step.name);
    const result = text === null ? undefined : (JSON.parse(text) as unknown);
    const base = this.base(attempt, signal, state);
    const idempotencyKey = `${base.idempotencyKey}:undo`;
    return this.complete(attempt, {
      ...{ ...base, ...this.publishing(attempt), idempotencyKey, outcome, result, phase: 'undo' as const },
    });
  }

  probe(
    attempt: Attempt,
    signal: AbortSignal,
    state: SagaState,
  ): ProbingContext<unknown, AnyRecord, unknown> {
    return Object.freeze({ ...this.base(attempt, signal, state), phase: 'probe' });
  }

  private base(attempt: Attempt, signal: AbortSignal, state: SagaState) {
    const { sagaId, name, epoch, correlationId, input } = this.saga;
    return {
      sagaId,
      sagaName: name,
      step: attempt.step.name,
      attempt: attempt.number,
      input: JSON.parse(input) as object,
      results: resultsOf(state),
      idempotencyKey: `${sagaId}:${attempt.step.name}`,
      fencingToken: epoch,
      signal,
      deadline: attempt.deadline,
      correlationId,
      headers: { sagaId, correlationId },
    };
  }

  private publishing(attempt: Attempt) {
    return { publish: (event: OutboxEventInput) => this.publish(attempt, event) };
  }

  /** `manager` is a getter, so that only those who ask for it learn that there is none. */
  private complete<C extends object>(attempt: Attempt, context: C): C & { manager: unknown } {
    const { step, tx } = attempt;
    return Object.freeze(
      Object.defineProperty(context as C & { manager: unknown }, 'manager', {
        get() {
          if (tx !== undefined) return tx;
          const why = step.transactional
            ? 'memory storage has no transactions'
            : `add transactional: true to the step "${step.name}"`;
          throw new TransactionRequiredError(`ctx.manager is not available in ${step.place}: ${why}`);
        },
      }),
    );
  }

  private publish(attempt: Attempt, event: OutboxEventInput): Promise<string> {
    if (attempt.settled) return Promise.reject(new TransactionRequiredError(TOO_LATE));
    const { sagaId, correlationId } = this.saga;
    const made = makeEvent(event, this.events, { key: sagaId, headers: { sagaId, correlationId } });
    if ('fault' in made) return Promise.reject(eventError(event.type, made.fault));
    attempt.events.push(...made.records);
    return Promise.resolve(made.id);
  }
}

/** The results of the completed steps, as fresh values. */
export function resultsOf(state: SagaState): AnyRecord {
  const known = Object.entries(state.steps).filter(([, step]) => step.result !== null);
  return Object.fromEntries(
    known.map(([name, step]) => [name, JSON.parse(step.result ?? 'null') as unknown]),
  );
}
