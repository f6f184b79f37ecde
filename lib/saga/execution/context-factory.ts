import { makeEvent, type EventRules } from '../../events/event-factory.js';
import type { OutboxEventInput } from '../../events/outbox-event.js';
import type { ClaimedSaga } from '../saga-storage.js';
import { TransactionRequiredError } from '../state/errors.js';
import { eventError } from '../state/event-error.js';
import type { AttemptSignal } from './attempt-signal.js';
import {
  ProbeStepContext,
  StepContext,
  UndoStepContext,
  type Attempt,
  type ContextSource,
} from './handler-context.js';
import type { SagaTrace } from './saga-trace.js';
import type { SagaState } from './saga-state.js';

const TOO_LATE = 'ctx.publish was called after the step had settled: await it inside the step';

/** Makes the contexts of one saga's handlers. */
export class ContextFactory implements ContextSource {
  readonly sagaId: string;
  readonly sagaName: string;
  readonly epoch: number;
  readonly correlationId: string;
  readonly input: string;
  readonly headers: Readonly<Record<string, string>>;
  private readonly trace: SagaTrace;

  constructor(
    { sagaId, name, epoch, correlationId, headers, input, ageMs }: ClaimedSaga,
    private readonly events: EventRules,
    { now, trace }: { readonly now: number; readonly trace: SagaTrace },
  ) {
    this.sagaId = sagaId;
    this.sagaName = name;
    this.epoch = epoch;
    this.correlationId = correlationId;
    this.input = input;
    this.trace = trace;
    const sagaStartedAt = new Date(now - ageMs).toISOString();
    this.headers = Object.freeze(Object.assign({}, headers, { sagaId, sagaStartedAt, correlationId }));
  }

  action(attempt: Attempt, own: AttemptSignal, state: SagaState): StepContext {
    return new StepContext({ source: this, attempt, own, state });
  }

  undo(attempt: Attempt, own: AttemptSignal, state: SagaState): UndoStepContext {
    return new UndoStepContext({ source: this, attempt, own, state });
  }

  probe(attempt: Attempt, own: AttemptSignal, state: SagaState): ProbeStepContext {
    return new ProbeStepContext({ source: this, attempt, own, state });
  }

  publish(attempt: Attempt, event: OutboxEventInput): Promise<string> {
    if (attempt.settled) return Promise.reject(new TransactionRequiredError(TOO_LATE));
    const { sagaId: key } = this;
    const headers = Object.assign({}, this.headers, this.trace.active());
    const made = makeEvent(event, this.events, { key, headers });
    if ('fault' in made) return Promise.reject(eventError(event.type, made.fault));
    attempt.events.push(...made.records);
    return Promise.resolve(made.id);
  }
}
