import type { OutboxRecord } from '../../events/outbox-event.js';
import { toJsonText } from '../../events/json-text.js';
import type { Clock } from '../../runtime/clock.js';
import type { SagaDefinition } from '../definition/saga-definition.js';
import { outcomeOf } from '../retry/error-outcome.js';
import { nextDelay } from '../retry/retry-policy.js';
import type { SagaStorage, SagaTransaction, SagaWrite } from '../saga-storage.js';
import {
  CommitUnknownError,
  FencedError,
  PayloadTooLargeError,
  ResultNotSerialisableError,
} from '../state/errors.js';
import type { SagazError } from '../state/sagaz.error.js';
import { failureOf, type JournalKind } from '../state/journal.js';
import { worseOutcome, type Outcome } from '../state/step-status.js';
import { attemptOnce } from './attempt.js';
import type { Attempt, ContextFactory } from './context-factory.js';
import { stateOf, type SagaState } from './saga-state.js';
import type { StepJob } from './step-job.js';

/** Something that happened, to be written to the journal. */
export interface Fact {
  readonly kind: JournalKind;
  readonly step: string | null;
  readonly attempt: number;
  /** JSON text. */
  readonly data: string | null;
  readonly events: readonly OutboxRecord[];
}

/** What a step runner needs of the saga it works for. */
export interface StepHost {
  readonly definition: SagaDefinition;
  readonly storage: SagaStorage;
  readonly contexts: ContextFactory;
  readonly clock: Clock;
  readonly maxResultBytes: number;
  state(): SagaState;
  /** From then on an error of a running handler is no attempt: its client may have been closed. Ends back-offs. */
  readonly draining: AbortSignal;
  /** Makes facts durable; resolves when they are. @param store how, when not by an ordinary write */
  record(facts: readonly Fact[], store?: (write: SagaWrite) => Promise<void>): Promise<void>;
}

/** A deadlock or serialisation failure repeats the transaction this often without counting as an attempt. */
const MAX_CONFLICTS = 5;

/** Runs one action or undo until it is recorded as completed or failed, or until the process drains. */
export class StepRunner {
  private handlerSettled = true;

  constructor(
    private readonly host: StepHost,
    private readonly job: StepJob,
    private readonly signal: AbortSignal,
  ) {}

  /** @throws FencedError, CommitUnknownError or a fault of the storage: this process has lost track of the saga */
  async run(): Promise<void> {
    const { host, job } = this;
    const startedAt = host.clock.monotonic();
    let outcome: Outcome = stateOf(host.state(), job.step.name).outcome ?? 'failed';
    for (let attempt = job.firstAttempt; !host.draining.aborted; attempt++) {
      const error = await this.attempt(attempt);
      if (error === undefined || host.draining.aborted) return;
      outcome = worseOutcome(outcome, this.outcomeOf(error.thrown));
      const elapsedMs = host.clock.monotonic() - startedAt;
      const delay = nextDelay(job.retry, {
        attempt,
        error: error.thrown,
        elapsedMs,
        unlimited: this.unlimited(outcome),
      });
      if (delay === undefined || this.signal.aborted) return this.giveUp(attempt, outcome, error.thrown);
      await host.clock.delay(delay, AbortSignal.any([this.signal, host.draining]));
      if (this.signal.aborted && !host.draining.aborted) return this.giveUp(attempt, outcome, error.thrown);
    }
  }

  /** Undefined when the attempt is recorded as completed. */
  private async attempt(number: number): Promise<{ readonly thrown: unknown } | undefined> {
    for (let conflicts = 0; ; conflicts++) {
      try {
        await (this.job.step.transactional ? this.inTransaction(number) : this.ordinary(number));
        return undefined;
      } catch (error) {
        if (error instanceof StorageFault) throw error.cause;
        if (error instanceof FencedError || error instanceof CommitUnknownError) throw error;
        if (conflicts >= MAX_CONFLICTS || !this.host.storage.isTransient(error)) return { thrown: error };
      }
    }
  }

  private async ordinary(number: number): Promise<void> {
    const events: OutboxRecord[] = [];
    const value = await this.call(number, undefined, events);
    await this.host.record(this.completedFacts(number, value, events)).catch(asStorageFault);
  }

  private async inTransaction(number: number): Promise<void> {
    const events: OutboxRecord[] = [];
    const transaction = await this.host.storage.begin().catch(asStorageFault);
    try {
      const value = await transaction.run(() => this.call(number, transaction, events));
      const { text, error } = this.resultText(value);
      if (error) throw error;
      const completed = this.fact({ kind: this.job.completed, attempt: number, data: text, events });
      await this.host.record([completed], (write) => transaction.commit(write));
    } catch (error) {
      await transaction.rollback(this.handlerSettled);
      throw error;
    }
  }

  private call(
    number: number,
    transaction: SagaTransaction<unknown> | undefined,
    events: OutboxRecord[],
  ): Promise<unknown> {
    const { host, job } = this;
    const deadline = new Date(host.clock.now() + job.timeoutMs);
    const graceMs = host.definition.options.settleGrace;
    const invoke = async (signal: AbortSignal) => {
      const attempt: Attempt = { step: job.step, number, signal, deadline, tx: transaction?.tx, events };
      const { contexts } = host;
      this.handlerSettled = false;
      try {
        return await job.handler(
          job.mode === 'action'
            ? contexts.action(attempt, host.state())
            : contexts.undo(attempt, host.state()),
        );
      } finally {
        this.handlerSettled = true;
      }
    };
    return attemptOnce(invoke, {
      timeoutMs: job.timeoutMs,
      graceMs,
      place: job.place,
      signal: this.signal,
      clock: host.clock,
    });
  }

  /** An effect whose result cannot be kept is there all the same: the step is completed, and the saga cannot go on. */
  private completedFacts(number: number, value: unknown, events: readonly OutboxRecord[]): Fact[] {
    const { text, error } = this.resultText(value);
    const completed = this.fact({ kind: this.job.completed, attempt: number, data: text, events });
    if (!error) return [completed];
    const data = JSON.stringify(failureOf(error, this.job.step.name));
    return [completed, this.fact({ kind: 'compensating', attempt: number, data })];
  }

  /** What an undo returns is of no use to anyone. */
  private resultText(value: unknown): { readonly text: string | null; readonly error?: SagazError } {
    if (this.job.mode === 'undo') return { text: null };
    const json = toJsonText(value, 'result');
    if (!json.ok)
      return {
        text: null,
        error: new ResultNotSerialisableError(`${this.job.place} returned ${json.path}: ${json.reason}`),
      };
    const bytes = Buffer.byteLength(json.text);
    const { maxResultBytes } = this.host;
    if (bytes <= maxResultBytes) return { text: json.text };
    return {
      text: null,
      error: new PayloadTooLargeError(
        `${this.job.place} returned ${bytes} bytes; the limit payload.maxBytes is ${maxResultBytes}`,
      ),
    };
  }

  private giveUp(number: number, outcome: Outcome, error: unknown): Promise<void> {
    const data = JSON.stringify({ ...failureOf(error, this.job.step.name), outcome });
    return this.host.record([this.fact({ kind: this.job.failed, attempt: number, data })]);
  }

  private fact(fact: Omit<Fact, 'step' | 'events'> & Partial<Pick<Fact, 'events'>>): Fact {
    return { events: [], ...fact, step: this.job.step.name };
  }

  /** A transaction that did not commit left nothing. */
  private outcomeOf(error: unknown): Outcome {
    return this.job.step.transactional ? 'failed' : outcomeOf(error, this.job.step.noEffectOn);
  }

  /** After the pivot, and for a pivot that may have happened, there is only the way forward. */
  private unlimited(outcome: Outcome): boolean {
    if (this.job.mode === 'undo') return false;
    const phase = this.host.definition.graph.phase(this.job.step.name);
    return phase === 'after' || (phase === 'pivot' && outcome === 'unknown');
  }
}

/** Tells a fault of the storage from an error of the handler. */
class StorageFault extends Error {}

function asStorageFault(cause: unknown): never {
  throw new StorageFault('storage', { cause });
}
