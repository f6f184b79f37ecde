import { errorText } from '../../runtime/error-text.js';
import { outcomeOf } from '../retry/error-outcome.js';
import { nextDelay } from '../retry/retry-policy.js';
import { failureOf } from '../state/journal.js';
import { worseOutcome, type Outcome } from '../state/step-status.js';
import { attemptOnce } from './attempt.js';
import type { ProbeResult } from '../definition/context.js';
import { stateOf } from './saga-state.js';
import { LostTrack, StepAttempt } from './step-attempt.js';
import type { StepHost } from './step-host.js';
import type { StepJob } from './step-job.js';
import { completedFacts, resultText } from './step-result.js';

/** A deadlock or serialisation failure repeats the transaction this often without counting as an attempt. */
const MAX_CONFLICTS = 5;

interface Failure {
  readonly thrown: unknown;
}

interface FailedRun extends Failure {
  readonly attempt: number;
  readonly elapsedMs: number;
}

/** Runs one action or undo until it is recorded as completed or failed, or until its saga halts here. */
export class StepRunner {
  /** What this process has learned beyond the journal. */
  private known: Outcome | undefined;

  constructor(
    private readonly host: StepHost,
    private readonly job: StepJob,
    private readonly signal: AbortSignal,
  ) {}

  /** @throws FencedError, CommitUnknownError or a fault of the storage: this process has lost track of the saga */
  async run(): Promise<void> {
    const { host, job } = this;
    const startedAt = host.clock.monotonic();
    if (await this.settledBefore()) return;
    for (let attempt = job.firstAttempt; !host.halting.aborted; attempt++) {
      const failure = await this.attempt(attempt);
      if (failure === undefined || host.halting.aborted) return;
      if (await this.settledAfter({ ...failure, attempt, elapsedMs: host.clock.monotonic() - startedAt }))
        return;
    }
  }

  /** What earlier processes left open: it may be settled without a call of the handler. */
  private async settledBefore(): Promise<boolean> {
    const { host, job } = this;
    if (await this.settledByProbe()) return true;
    if (job.mode === 'undo') await host.awaitLostAction(job.step);
    if (host.halting.aborted || !this.isSpent()) return false;
    await this.giveUp(job.firstAttempt - 1, LOST);
    return true;
  }

  /** Decides after a failed attempt, and waits before the next one. */
  private async settledAfter({ thrown, attempt, elapsedMs }: FailedRun): Promise<boolean> {
    const { host, job, signal } = this;
    if (job.mode === 'action') {
      this.known = worseOutcome(this.outcome, this.outcomeOf(thrown));
      if ((await this.settledByProbe()) || host.halting.aborted) return true;
    }
    const delay = nextDelay(job.retry, { attempt, error: thrown, elapsedMs, unlimited: this.isUnlimited() });
    if (delay !== undefined && !signal.aborted) {
      this.logRetry(attempt, delay, thrown);
      await host.clock.delay(delay, AbortSignal.any([signal, host.halting]));
      if (!signal.aborted || host.halting.aborted) return host.halting.aborted;
    }
    await this.giveUp(attempt, thrown);
    return true;
  }

  /** The worst of all attempts, also of those before this process. */
  private get outcome(): Outcome {
    return this.known ?? stateOf(this.host.state(), this.job.step.name).outcome ?? 'failed';
  }

  /** Undefined when the attempt is recorded as completed. */
  private async attempt(number: number): Promise<Failure | undefined> {
    const { host, job, signal } = this;
    for (let conflicts = 0; ; conflicts++) {
      host.requireLease();
      try {
        await new StepAttempt(host, job, number, signal).run();
        return undefined;
      } catch (error) {
        if (error instanceof LostTrack) throw error.cause;
        const conflict =
          job.step.transactional && conflicts < MAX_CONFLICTS && host.storage.isTransient(error);
        if (!conflict || signal.aborted || host.halting.aborted) return { thrown: error };
      }
    }
  }

  /** Was launched before, may have happened, and has no attempt left: it is not run again. */
  private isSpent(): boolean {
    const { mode, step, firstAttempt, retry } = this.job;
    if (mode === 'undo' || step.transactional || this.isUnlimited()) return false;
    return firstAttempt > retry.maxAttempts;
  }

  private giveUp(attempt: number, error: unknown): Promise<void> {
    const { failed: kind, step } = this.job;
    const data = JSON.stringify({ ...failureOf(error, step.name), outcome: this.outcome });
    return this.host.record([{ kind, step: step.name, attempt, data, events: [] }]);
  }

  /** A transaction that did not commit left nothing. */
  private outcomeOf(error: unknown): Outcome {
    return this.job.step.transactional ? 'failed' : outcomeOf(error, this.job.step.noEffectOn);
  }

  /**
   * After the pivot there is only the way forward; so it is for a pivot that may have happened, unless it must not be
   * repeated. A saga that is parked meanwhile waits for an operator, not for this step.
   */
  private isUnlimited(): boolean {
    const { mode, step, retry } = this.job;
    if (mode === 'undo' || this.host.state().status !== 'running') return false;
    const phase = this.host.definition.graph.phase(step.name);
    return phase === 'after' || (phase === 'pivot' && this.outcome === 'unknown' && retry.maxAttempts > 1);
  }

  /**
   * Asks the step's probe about an action that may have happened.
   * @returns true when that settled it: the action is recorded as completed, or its undo has nothing to do
   */
  private async settledByProbe(): Promise<boolean> {
    const { host, job } = this;
    if (!job.step.probe || this.outcome !== 'unknown' || host.halting.aborted) return false;
    const answer = await this.probe();
    if (answer.outcome === 'unknown') return false;
    const attempt = Math.max(1, job.firstAttempt);
    if (answer.outcome === 'completed' && job.mode === 'action') {
      await host.record(completedFacts(host, job, { value: answer.result, attempt, events: [] }));
      return true;
    }
    const { text } =
      answer.outcome === 'completed' ? resultText(host, asAction(job), answer.result) : { text: null };
    const data = JSON.stringify({ outcome: answer.outcome, result: text, interrupted: false });
    await host.record([{ kind: 'probed', step: job.step.name, attempt, data, events: [] }]);
    this.known = undefined;
    return job.mode === 'undo' && answer.outcome === 'failed' && job.step.compensateOn !== 'always';
  }

  /** A probe that fails knows nothing. */
  private async probe(): Promise<ProbeResult> {
    const { host, job, signal } = this;
    const { step } = job;
    const deadline = new Date(host.clock.now() + step.timeout);
    const attempt = { step, number: job.firstAttempt, deadline, tx: undefined, events: [], settled: false };
    const ask = async (own: AbortSignal) => step.probe?.(host.contexts.probe(attempt, own, host.state()));
    const limits = { timeoutMs: step.timeout, graceMs: 0, place: step.place, signal, clock: host.clock };
    try {
      return ((await attemptOnce(ask, limits)) as ProbeResult | undefined) ?? { outcome: 'unknown' };
    } catch (error) {
      host.log.warn(`${host.title}: the probe of step ${step.name} failed: ${errorText(error)}`);
      return { outcome: 'unknown' };
    }
  }

  private logRetry(attempt: number, delay: number, error: unknown): void {
    const { mode, step } = this.job;
    const what = `${mode === 'undo' ? 'undo of ' : ''}step ${step.name} attempt ${attempt}`;
    this.host.log.warn(`${this.host.title}: ${what} failed, next in ${delay} ms: ${errorText(error)}`);
  }
}

const LOST = Object.assign(new Error('its process was lost while it ran, and it may not be repeated'), {
  code: 'SAGAZ_INTERRUPTED',
});

/** The result of the action is what its undo is given. */
function asAction(job: StepJob): StepJob {
  return { ...job, mode: 'action' };
}
