import type { SagaTransaction } from '../saga-storage.js';
import { CommitUnknownError, FencedError } from '../state/errors.js';
import { attemptOnce } from './attempt.js';
import type { Attempt } from './context-factory.js';
import type { StepHost } from './step-host.js';
import type { StepJob } from './step-job.js';
import { completedFact, completedFacts, resultText } from './step-result.js';

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
    const facts = completedFacts(this.host, this.job, {
      value,
      attempt: this.number,
      events: attempt.events,
    });
    await this.host.record(facts).catch(lostTrack);
  }

  private async inTransaction(): Promise<void> {
    const transaction = await this.host.storage.begin();
    const attempt = this.attempt(transaction);
    try {
      const value = await transaction.run(() => this.call(attempt));
      const { text, error } = resultText(this.host, this.job, value);
      if (error) throw error;
      const fact = completedFact(this.job, { data: text, attempt: this.number, events: attempt.events });
      await this.host.record([fact], (write) => transaction.commit(write).catch(asLostTrack));
    } catch (error) {
      await transaction.rollback(attempt.settled);
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
      host.handlerCalled(job.step.name, work);
      return work;
    };
    const graceMs = host.definition.options.settleGrace;
    return attemptOnce(handler, { timeoutMs: job.timeoutMs, graceMs, place: job.place, signal, clock });
  }
}

/** A refused commit left nothing; after any other the saga may be somebody else's. */
function asLostTrack(error: unknown): never {
  if (error instanceof FencedError || error instanceof CommitUnknownError) lostTrack(error);
  throw error;
}

function lostTrack(cause: unknown): never {
  throw new LostTrack('lost track of the saga', { cause });
}
