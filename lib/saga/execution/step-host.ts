import type { Clock } from '../../runtime/clock.js';
import type { DebugProbe } from '../../runtime/debug-points.js';
import type { Log } from '../../runtime/log.js';
import type { SagaDefinition, StepDefinition } from '../definition/saga-definition.js';
import type { SagaStorage } from '../saga-storage.js';
import type { ContextFactory } from './context-factory.js';
import type { Fact, Store } from './fact.js';
import type { SagaReporter } from './saga-reporter.js';
import type { SagaTrace } from './saga-trace.js';
import type { SagaState } from './saga-state.js';
import type { StepJob } from './step-job.js';

/** What a step needs of the saga it belongs to. */
export interface StepHost {
  readonly definition: SagaDefinition;
  readonly storage: SagaStorage;
  readonly contexts: ContextFactory;
  readonly clock: Clock;
  readonly log: Log;
  readonly maxResultBytes: number;
  readonly reporter: SagaReporter;
  readonly trace: SagaTrace;
  readonly reach: DebugProbe;
  /** Named in log lines. */
  readonly title: string;
  state(): SagaState;
  /**
   * True from the drain on and after a fault of the storage. Then nothing begins, back-offs end, and an error of a
   * running handler is no attempt: its client may have been closed.
   */
  readonly halting: boolean;
  /** @throws FencedError when the lease of this process has run out: somebody else may run the saga */
  requireLease(): void;
  /**
   * Asks the storage, before something begins after a pause in which nothing was written.
   * @throws FencedError when the saga is not this owner's any more
   */
  requireOwnership(): Promise<void>;
  /** Milliseconds until the action of a process that was lost can no longer be under way. */
  lostActionMs(step: StepDefinition): number;
  /** Milliseconds that are left of the pause that the journal holds for a step. */
  pauseLeftMs(step: string): number;
  /** Tells the host that a job has gone into a long back-off: perhaps nothing of the saga needs this process. */
  paused(): void;
  /** Tells the host that a handler of a step is about to be called. */
  handlerCalled(step: string): void;
  /** Tells the host that a handler has settled, in time or not. */
  handlerSettled(): void;
  /** Tells the host of a success that its step could not wait for. */
  lateResult(step: string, text: string | null): void;
  /** Tells the host that nothing of a job is left to do here. */
  performed(job: StepJob): void;
  /** Tells the host that it is not known any more what is stored of the saga. */
  lostTrack(error: unknown): void;
  /** Makes facts durable; resolves when they are. */
  record(facts: readonly Fact[], store?: Store): Promise<void>;
}
