import type { Clock } from '../../runtime/clock.js';
import { errorText } from '../../runtime/error-text.js';
import type { Log } from '../../runtime/log.js';
import type { SagaRegistry } from '../definition/saga-registry.js';
import type { ClaimedSaga } from '../saga-storage.js';
import { FencedError } from '../state/errors.js';
import { SagaRunner, type RunnerSettings } from './saga-runner.js';

export interface ExecutorSettings extends RunnerSettings {
  readonly registry: SagaRegistry;
  /** Sagas running at once in this process. */
  readonly maxSagas: number;
  readonly log: Log;
}

interface Run {
  readonly runner: SagaRunner;
  /** Resolves when nothing of the saga runs here any more, however that came. */
  readonly over: Promise<void>;
}

/** The sagas that run in this process. */
export class SagaExecutor {
  /** Sagas of this process that a fault of the storage stopped; to be claimed anew. */
  readonly lost = new Set<string>();
  private readonly runs = new Map<string, Run>();
  private readonly clock: Clock;
  private open = false;

  constructor(private readonly settings: ExecutorSettings) {
    this.clock = settings.clock;
  }

  /** How many more sagas may be taken; none before the worker has started and from the drain on. */
  get room(): number {
    return this.open ? this.settings.maxSagas - this.runs.size : 0;
  }

  start(): void {
    this.open = true;
  }

  /** Runs a saga that this process owns. */
  accept(saga: ClaimedSaga): void {
    const definition = this.settings.registry.find(saga.name, saga.version);
    if (!definition)
      throw new Error(
        `claimed saga ${saga.sagaId} of ${saga.name} v${saga.version}, which is not registered`,
      );
    this.lost.delete(saga.sagaId);
    const runner = new SagaRunner(saga, definition, this.settings);
    this.runs.set(saga.sagaId, { runner, over: this.follow(runner) });
  }

  /** Resolves when the saga no longer runs here; undefined when it does not run here. */
  over(sagaId: string): Promise<void> | undefined {
    return this.runs.get(sagaId)?.over;
  }

  /**
   * Takes nothing more, lets running handlers finish up to the time limit, then aborts them.
   * Resolves to the number of sagas that would not let go.
   */
  async drain(timeoutMs: number): Promise<number> {
    this.open = false;
    const runs = [...this.runs.values()];
    for (const { runner } of runs) runner.drain();
    const over = Promise.all(runs.map((run) => run.over));
    if (await this.within(timeoutMs, over)) return 0;
    for (const { runner } of this.runs.values()) runner.stop();
    const grace = Math.max(
      0,
      ...[...this.runs.values()].map(({ runner }) => runner.definition.options.settleGrace),
    );
    await this.within(grace, over);
    return this.runs.size;
  }

  private async within(ms: number, work: Promise<unknown>): Promise<boolean> {
    const timer = new AbortController();
    const expired = this.clock.delay(ms, timer.signal).then(() => false);
    const done = await Promise.race([work.then(() => true), expired]);
    timer.abort();
    return done;
  }

  private async follow(runner: SagaRunner): Promise<void> {
    const { sagaId, name } = runner.saga;
    const { log } = this.settings;
    try {
      await runner.run();
    } catch (error) {
      if (error instanceof FencedError) log.warn(`saga ${name} ${sagaId} is run by another process now`);
      else {
        this.lost.add(sagaId);
        log.error(
          `saga ${name} ${sagaId} stopped here by a fault of the storage, it will be claimed anew: ${errorText(error)}`,
        );
      }
    } finally {
      this.runs.delete(sagaId);
    }
  }
}
