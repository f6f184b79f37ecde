import { toJsonText } from '../../events/json-text.js';
import type { OutboxRecord } from '../../events/outbox-event.js';
import type { SagaTransaction } from '../saga-storage.js';
import {
  CommitUnknownError,
  FencedError,
  PayloadTooLargeError,
  ResultNotSerialisableError,
} from '../state/errors.js';
import { failureOf } from '../state/journal.js';
import type { SagazError } from '../state/sagaz.error.js';
import { attemptOnce } from './attempt.js';
import type { Attempt } from './context-factory.js';
import type { Fact, StepHost } from './step-host.js';
import type { StepJob } from './step-job.js';

/** This process has lost track of the saga: what it wrote may or may not be stored. */
export class LostTrack extends Error {}

/** One attempt of an action or undo: calls the handler and records its success. */
export class StepAttempt {
  constructor(
    private readonly host: StepHost,
    private readonly job: StepJob,
    private readonly number: number,
    private readonly signal: AbortSignal,
  ) {}

  /** Resolves when the success is durable. @throws LostTrack, or what the handler threw */
  run(): Promise<void> {
    return this.job.step.transactional ? this.inTransaction() : this.ordinary();
  }

  private async ordinary(): Promise<void> {
    const attempt = this.attempt(undefined);
    const value = await this.call(attempt);
    await this.host.record(this.completed(value, attempt.events)).catch(lostTrack);
  }

  private async inTransaction(): Promise<void> {
    const transaction = await this.host.storage.begin().catch(lostTrack);
    const attempt = this.attempt(transaction);
    try {
      const value = await transaction.run(() => this.call(attempt));
      const { text, error } = this.resultText(value);
      if (error) throw error;
      const fact = this.fact(text, attempt.events);
      await this.host.record([fact], (write) => transaction.commit(write));
    } catch (error) {
      await transaction.rollback(attempt.settled);
      if (error instanceof FencedError || error instanceof CommitUnknownError) lostTrack(error);
      throw error;
    }
  }

  private attempt(transaction: SagaTransaction<unknown> | undefined): Attempt {
    const { host, job, number } = this;
    const deadline = new Date(host.clock.now() + job.timeoutMs);
    return { step: job.step, number, deadline, tx: transaction?.tx, events: [], settled: false };
  }

  private call(attempt: Attempt): Promise<unknown> {
    const { host, job, signal } = this;
    const { contexts, clock } = host;
    const invoke = async (own: AbortSignal) => {
      const { mode } = job;
      try {
        return await job.handler(contexts[mode](attempt, own, host.state()));
      } finally {
        attempt.settled = true;
      }
    };
    const handler = (own: AbortSignal) => {
      const work = invoke(own);
      host.handlerCalled(work);
      return work;
    };
    const graceMs = host.definition.options.settleGrace;
    return attemptOnce(handler, { timeoutMs: job.timeoutMs, graceMs, place: job.place, signal, clock });
  }

  /** An effect whose result cannot be kept is there all the same: the step is completed, and the saga cannot go on. */
  private completed(value: unknown, events: readonly OutboxRecord[]): Fact[] {
    const { text, error } = this.resultText(value);
    const completed = this.fact(text, events);
    if (!error) return [completed];
    const data = JSON.stringify(failureOf(error, this.job.step.name));
    return [completed, { ...completed, kind: 'compensating', data, events: [] }];
  }

  private fact(data: string | null, events: readonly OutboxRecord[]): Fact {
    return { kind: this.job.completed, step: this.job.step.name, attempt: this.number, data, events };
  }

  /** Nothing for a step without a result, and for an undo, whose result nobody asks for. */
  private resultText(value: unknown): { readonly text: string | null; readonly error?: SagazError } {
    if (value === undefined || this.job.mode === 'undo') return { text: null };
    const { place } = this.job;
    const json = toJsonText(value, 'result');
    if (!json.ok) {
      return {
        text: null,
        error: new ResultNotSerialisableError(`${place} returned ${json.path}: ${json.reason}`),
      };
    }
    const bytes = Buffer.byteLength(json.text);
    const limit = this.host.maxResultBytes;
    if (bytes <= limit) return { text: json.text };
    const message = `${place} returned ${bytes} bytes; the limit payload.maxBytes is ${limit}`;
    return { text: null, error: new PayloadTooLargeError(message) };
  }
}

function lostTrack(cause: unknown): never {
  throw new LostTrack('lost track of the saga', { cause });
}
