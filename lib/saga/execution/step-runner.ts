import { errorText } from '../../runtime/error-text.js';
import { outcomeOf } from '../retry/error-outcome.js';
import { nextDelay } from '../retry/retry-policy.js';
import { SagaCancelledError } from '../state/errors.js';
import { failureOf } from '../state/journal.js';
import { worseOutcome, type Outcome } from '../state/step-status.js';
import type { Failure } from './attempt.js';
import { JobControl } from './job-control.js';
import { stateOf } from './saga-state.js';
import { StepAttempt } from './step-attempt.js';
import type { StepHost } from './step-host.js';
import type { StepJob } from './step-job.js';
import { askProbe } from './step-probe.js';
import { completedFacts, resultText, type Returned } from './step-result.js';

/** A deadlock or serialisation failure repeats the transaction this often without counting as an attempt. */
const MAX_CONFLICTS = 5;

/** A longer back-off is written down, so that no process has to sit through it. */
export const LONG_PAUSE_MS = 5_000;

interface FailedRun extends Failure {
  readonly attempt: number;
  readonly elapsedMs: number;
}

/** Runs one action or undo until it is recorded as completed or failed, or until its saga halts here. */
export class StepRunner {
  readonly control = new JobControl();
  /** When its long back-off ends, by the monotonic clock; undefined outside of one. */
  pausedUntil: number | undefined;
  /** What this process has learned beyond the journal. */
  private known: Outcome | undefined;
  /** A success of an attempt that had been given up on. */
  private late: Returned | undefined;
  private endPause: (() => void) | undefined;
  /** Late results that the last attempt of an undo was told of. */
  private lates = 0;
  /** When the last attempt began. */
  private beganAt = 0;
  private ended = false;

  constructor(
    private readonly host: StepHost,
    readonly job: StepJob,
  ) {}

  /** Never rejects: what makes this process lose track of the saga is told to the host, and then that the job is over. */
  async run(): Promise<void> {
    const { host, job } = this;
    try {
      if (this.hasPast && (await this.settledBefore())) return;
      const startedAt = host.clock.monotonic() - job.elapsedMs;
      for (let attempt = job.firstAttempt; !host.halting; attempt++) {
        if (!this.mayBegin) {
          await this.decide(attempt - 1, this.reason);
          return;
        }
        const failure = await this.attempt(attempt);
        if (failure === undefined) this.ended = true;
        if (failure === undefined || host.halting) return;
        const elapsedMs = host.clock.monotonic() - startedAt;
        if (await this.settledAfter({ ...failure, attempt, elapsedMs })) return;
      }
    } catch (error) {
      host.lostTrack(error);
    } finally {
      const late = this.undecided;
      if (late) await this.keepLate(late);
      this.ended = true;
      host.performed(job);
    }
  }

  /** A success for which nothing was decided. */
  private get undecided(): Returned | undefined {
    return this.ended ? undefined : this.late;
  }

  /** In a halt nothing else is decided, but what an earlier attempt has done is not lost for that. */
  private async keepLate(late: Returned): Promise<void> {
    try {
      await this.complete(late);
    } catch (error) {
      this.host.lostTrack(error);
    }
  }

  private get hasPast(): boolean {
    return this.job.mode === 'undo' || this.job.firstAttempt > 1 || this.outcome !== 'failed';
  }

  /** What earlier processes left open: it may be settled without a call of the handler. */
  private async settledBefore(): Promise<boolean> {
    const { host, job } = this;
    if (await this.settledByProbe()) return true;
    const { name } = job.step;
    if (job.mode === 'undo') await this.pause(host.lostActionMs(job.step));
    const left = host.pauseLeftMs(name);
    if (left > 0) await this.pause(left, true);
    if (host.halting || !this.isSpent()) return false;
    await this.giveUp(job.firstAttempt - 1, LOST);
    return true;
  }

  /** Decides after a failed attempt, and waits before the next one. */
  private async settledAfter(failed: FailedRun): Promise<boolean> {
    const { host, job, control } = this;
    const { thrown, attempt } = failed;
    if (job.mode === 'action' && !this.late) {
      this.known = worseOutcome(this.outcome, this.outcomeOf(thrown));
      if ((await this.settledByProbe()) || host.halting) return true;
    }
    const delay = nextDelay(job.retry, { ...failed, error: thrown, unlimited: this.isUnlimited() });
    if (delay !== undefined && control.mayContinue && !this.late) {
      await this.backOff(failed, delay);
      if (host.halting) return true;
      if (!this.late && control.mayContinue) return false;
    }
    await this.decide(attempt, thrown);
    return true;
  }

  /** There is no next attempt. */
  private decide(attempt: number, error: unknown): Promise<void> {
    return this.late ? this.complete(this.late) : this.giveUp(attempt, error);
  }

  private async backOff({ thrown, attempt, elapsedMs }: FailedRun, delayMs: number): Promise<void> {
    const { host, job } = this;
    const what = `${job.mode === 'undo' ? 'undo of ' : ''}step ${job.step.name} attempt ${attempt}`;
    const { code } = failureOf(thrown);
    const { outcome, durationMs } = this;
    const msg = `${host.title}: ${what} failed, next in ${delayMs} ms: ${errorText(thrown)}`;
    const { sagaId, sagaName: saga, correlationId } = host.contexts;
    host.log.warn({ msg, sagaId, saga, step: job.step.name, attempt, durationMs, code, correlationId });
    host.reporter.retrying(job, { attempt, durationMs, outcome, code });
    const isLong = delayMs > LONG_PAUSE_MS;
    if (isLong) {
      const data = JSON.stringify({ ...this.failure(thrown), delayMs, elapsedMs });
      const { name } = job.step;
      await host.record([{ kind: job.kinds.retrying, step: name, attempt, data, events: [] }]);
    }
    await this.pause(delayMs, isLong);
  }

  /**
   * Ends early when there is nothing left to wait for.
   * @param written whether the journal holds it
   * @throws FencedError when the saga was taken meanwhile: nothing may begin after it
   */
  private async pause(ms: number, written = false): Promise<void> {
    if (ms <= 0 || !this.mayBegin) return;
    await this.rest(ms, written);
    if (this.mayBegin) await this.host.requireOwnership();
  }

  private get mayBegin(): boolean {
    return !this.host.halting && this.control.mayContinue && !this.late;
  }

  private rest(ms: number, written: boolean): Promise<void> {
    const { host, control } = this;
    return new Promise((resolve) => {
      const end = () => {
        cancel();
        forget();
        this.endPause = undefined;
        this.pausedUntil = undefined;
        resolve();
      };
      const cancel = host.clock.after(ms, end);
      const forget = control.listen(end);
      this.endPause = end;
      if (!written) return;
      this.pausedUntil = host.clock.monotonic() + ms;
      host.paused();
    });
  }

  private get durationMs(): number {
    return this.host.clock.monotonic() - this.beganAt;
  }

  /** The worst of all attempts, also of those before this process. */
  private get outcome(): Outcome {
    return this.known ?? stateOf(this.host.state(), this.job.step.name).outcome ?? 'failed';
  }

  /** Undefined when the attempt is recorded as completed. */
  private attempt(number: number): Promise<Failure | undefined> {
    return this.job.step.transactional ? this.attemptDespiteConflicts(number) : this.attemptNow(number);
  }

  /** Repeats an attempt whose transaction was in conflict with another one. */
  private async attemptDespiteConflicts(number: number): Promise<Failure | undefined> {
    const { host, control } = this;
    let failure = await this.attemptNow(number);
    for (let conflicts = 0; failure && conflicts < MAX_CONFLICTS; conflicts++) {
      const repeat = host.storage.isTransient(failure.thrown) && control.mayContinue && !host.halting;
      if (!repeat) break;
      failure = await this.attemptNow(number);
    }
    return failure;
  }

  private attemptNow(number: number): Promise<Failure | undefined> {
    const { host, job, control } = this;
    host.requireLease();
    this.lates = stateOf(host.state(), job.step.name).lates;
    this.beganAt = host.clock.monotonic();
    host.reporter.attemptBegins(job, number);
    const late = (returned: Returned) => this.cameLate(returned);
    return host.trace.attempt(job, number, () => new StepAttempt({ host, job, control, late }, number).run());
  }

  /**
   * While the step is still tried, the success of an earlier attempt is as good as that of the next one. That of a
   * transactional step is none: its transaction was rolled back.
   */
  private cameLate(returned: Returned): void {
    const { host, job } = this;
    if (job.mode === 'undo' || job.step.transactional) return;
    if (this.ended) return host.lateResult(job.step.name, resultText(host, job, returned.value).text);
    this.late = returned;
    this.endPause?.();
  }

  /** From now on a success is a late one, as after `giveUp`. */
  private complete(returned: Returned): Promise<void> {
    this.ended = true;
    return this.host.record(completedFacts(this.host, this.job, returned));
  }

  /** Was launched before, may have happened, and has no attempt left: it is not run again. */
  private isSpent(): boolean {
    const { mode, step, firstAttempt, retry } = this.job;
    if (mode === 'undo' || step.transactional || this.isUnlimited()) return false;
    return firstAttempt > retry.maxAttempts;
  }

  private giveUp(attempt: number, error: unknown): Promise<void> {
    const { job, lates } = this;
    this.ended = true;
    const { kinds, step } = job;
    const data = JSON.stringify({ ...this.failure(error), ...(lates > 0 && { lates }) });
    const { durationMs } = this;
    return this.host.record([{ kind: kinds.failed, step: step.name, attempt, data, events: [], durationMs }]);
  }

  private failure(error: unknown) {
    return { ...failureOf(error, this.job.step.name), outcome: this.outcome };
  }

  /** Why the job may not continue. */
  private get reason(): unknown {
    return this.control.aborted?.reason ?? new SagaCancelledError('the saga turned to its compensation');
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
    const { step } = job;
    if (!step.probe || this.outcome !== 'unknown' || host.halting) return false;
    const answer = await askProbe(host, job, this.control);
    if (answer.outcome === 'unknown') return false;
    const attempt = Math.max(1, job.firstAttempt);
    if (answer.outcome === 'completed' && job.mode === 'action') {
      await this.complete({ value: answer.result, attempt, events: [], lates: 0, durationMs: 0 });
      return true;
    }
    // The result of the action is what its undo is given.
    const { text } =
      answer.outcome === 'completed'
        ? resultText(host, { ...job, mode: 'action' }, answer.result)
        : { text: null };
    const data = JSON.stringify({ outcome: answer.outcome, result: text, interrupted: false });
    await host.record([{ kind: 'probed', step: step.name, attempt, data, events: [] }]);
    this.known = undefined;
    return job.mode === 'undo' && answer.outcome === 'failed' && step.compensateOn !== 'always';
  }
}

const LOST = Object.assign(new Error('its process was lost while it ran, and it may not be repeated'), {
  code: 'SAGAZ_INTERRUPTED',
});
