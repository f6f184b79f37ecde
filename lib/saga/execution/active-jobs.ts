import type { Clock } from '../../runtime/clock.js';
import type { ResolvedSagaDefaults } from '../definition/saga-options.js';
import { SagaCancelledError, SagaTimeoutError } from '../state/errors.js';
import type { FailureRecord } from '../state/journal.js';
import type { StepJob } from './step-job.js';
import type { StepRunner } from './step-runner.js';

export const undoKey = (step: string) => `${step}:undo`;
const keyOf = ({ mode, step }: StepJob) => (mode === 'undo' ? undoKey(step.name) : step.name);
const isUndo = (key: string) => key.endsWith(':undo');

/** The actions and undos of one saga that are under way in this process. */
export class ActiveJobs {
  private readonly jobs = new Map<string, StepRunner>();
  private cancelGrace: (() => void) | undefined;

  constructor(
    private readonly options: ResolvedSagaDefaults,
    private readonly clock: Clock,
  ) {}

  get size(): number {
    return this.jobs.size;
  }

  has(key: string): boolean {
    return this.jobs.has(key);
  }

  add(runner: StepRunner): void {
    this.jobs.set(keyOf(runner.job), runner);
  }

  remove(job: StepJob): void {
    this.jobs.delete(keyOf(job));
  }

  /** Steps whose undo is under way. */
  get undoing(): readonly string[] {
    const undos = [...this.jobs].filter(([key]) => isUndo(key));
    return undos.map(([, { job }]) => job.step.name);
  }

  /** Milliseconds for which every job only waits in a back-off that the journal holds; Infinity without any job. */
  get restMs(): number {
    const now = this.clock.monotonic();
    return Math.min(...[...this.jobs.values()].map(({ pausedUntil = 0 }) => pausedUntil - now));
  }

  /** The saga turns back: no new attempt of any action, and what runs is treated by the strategy. */
  turnBack(failure: FailureRecord | undefined): void {
    const byStep = failure?.step !== undefined;
    const strategy = byStep ? this.options.failureStrategy : 'FAIL_FAST';
    const reason = reasonOf(failure);
    if (strategy === 'FAIL_FAST') return this.abortActions(reason);
    for (const [key, { control }] of this.jobs) if (!isUndo(key)) control.finish();
    if (strategy === 'WAIT_ALL') return;
    this.cancelGrace = this.clock.after(this.options.settleGrace, () => this.abortActions(reason));
  }

  abortActions(reason: Error): void {
    for (const [key, { control }] of this.jobs) if (!isUndo(key)) control.abort(reason);
  }

  abortAll(reason: Error): void {
    for (const { control } of this.jobs.values()) control.abort(reason);
  }

  /** Back-offs end, and nothing is tried again. */
  finishAll(): void {
    for (const { control } of this.jobs.values()) control.finish();
  }

  close(): void {
    this.cancelGrace?.();
  }
}

/** What `ctx.signal` of the steps gives that the saga leaves behind. */
function reasonOf(failure: FailureRecord | undefined): Error {
  if (failure?.step === undefined && failure?.code === 'SAGAZ_SAGA_TIMEOUT')
    return new SagaTimeoutError(failure.message);
  return new SagaCancelledError(
    failure?.step === undefined ? 'the saga was cancelled' : 'the saga turned to its compensation',
  );
}
