import type { SagaTransaction } from '../saga-storage.js';
import { CommitUnknownError, FencedError } from '../state/errors.js';
import { attemptOnce, type Failure } from './attempt.js';
import type { AttemptSignal } from './attempt-signal.js';
import type { Attempt } from './handler-context.js';
import type { JobControl } from './job-control.js';
import { stateOf } from './saga-state.js';
import type { StepHost } from './step-host.js';
import type { StepJob } from './step-job.js';
import { completedFact, completedFacts, resultText, type Returned } from './step-result.js';

/** This process has lost track of the saga: what it wrote may or may not be stored. */
class LostTrack extends Error {}

/** What an attempt needs of the job it belongs to. */
export interface AttemptSettings {
  readonly host: StepHost;
  readonly job: StepJob;
  readonly control: JobControl;
  /** Called with a success that came after the attempt was given up on. */
  readonly late: (returned: Returned) => void;
}

/** One attempt of an action or undo: calls the handler and records its success. */
export class StepAttempt {
  /** Late results that an undo is told of. */
  private readonly lates: number;
  private readonly beganAt: number;

  constructor(
    private readonly settings: AttemptSettings,
    private readonly number: number,
  ) {
    const { host, job } = settings;
    this.beganAt = host.clock.monotonic();
    this.lates = stateOf(host.state(), job.step.name).lates;
  }

  /**
   * Resolves when the success is durable, or when it has failed.
   * @throws why this process has lost track of the saga
   */
  run(): Promise<Failure | undefined> {
    if (!this.settings.job.step.transactional) return this.ordinary();
    return this.inTransaction().then(
      () => undefined,
      (error: unknown) => {
        if (error instanceof LostTrack) throw error.cause;
        return { thrown: error };
      },
    );
  }

  private ordinary(): Promise<Failure | undefined> {
    const { host, job } = this.settings;
    const attempt = this.attempt(undefined);
    return this.call(attempt).then(
      (value) => host.record(completedFacts(host, job, this.returned(attempt, value))) as Promise<undefined>,
      (thrown: unknown) => ({ thrown }),
    );
  }

  private async inTransaction(): Promise<void> {
    const { host, job } = this.settings;
    const transaction = await host.storage.begin();
    const attempt = this.attempt(transaction);
    try {
      const value = await transaction.run(() => this.call(attempt));
      const { text, error } = resultText(host, job, value);
      if (error) throw error;
      const fact = completedFact(job, text, this.returned(attempt, value));
      await host.record([fact], (write) => transaction.commit(write).catch(asLostTrack));
    } catch (error) {
      await transaction.rollback(attempt.settled);
      throw error;
    }
  }

  private attempt(transaction: SagaTransaction<unknown> | undefined): Attempt {
    const { host, job } = this.settings;
    const deadlineMs = host.clock.now() + job.timeoutMs;
    const { number } = this;
    return { step: job.step, number, deadlineMs, tx: transaction?.tx, events: [], settled: false };
  }

  private returned({ events }: Attempt, value: unknown): Returned {
    const { number: attempt, lates, settings, beganAt } = this;
    return { value, attempt, events, lates, durationMs: settings.host.clock.monotonic() - beganAt };
  }

  private call(attempt: Attempt): Promise<unknown> {
    const { host, job, control, late } = this.settings;
    const handler = (own: AttemptSignal) => {
      host.handlerCalled(job.step.name);
      host.reach(job.points.beginning);
      return job.handler(host.contexts[job.mode](attempt, own, host.state()));
    };
    const settled = () => {
      host.reach(job.points.returned);
      attempt.settled = true;
      host.handlerSettled();
    };
    const { timeoutMs, place } = job;
    const graceMs = host.definition.options.settleGrace;
    return attemptOnce(handler, {
      timeoutMs,
      graceMs,
      place,
      control,
      clock: host.clock,
      settled,
      late: (value) => late(this.returned(attempt, value)),
    });
  }
}

/** A refused commit left nothing; after any other the saga may be somebody else's. */
function asLostTrack(error: unknown): never {
  const lost = error instanceof FencedError || error instanceof CommitUnknownError;
  throw lost ? new LostTrack('lost track of the saga', { cause: error }) : error;
}
