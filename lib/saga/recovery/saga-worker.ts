import type { Clock } from '../../runtime/clock.js';
import type { Log } from '../../runtime/log.js';
import { PollingLoop } from '../../runtime/polling-loop.js';
import type { WorkerIdentity } from '../../runtime/worker-identity.js';
import type { SagaRegistry } from '../definition/saga-registry.js';
import type { SagaExecutor } from '../execution/saga-executor.js';
import type { SagaStorage } from '../saga-storage.js';

export interface SagaWorkerSettings {
  readonly identity: WorkerIdentity;
  readonly leaseMs: number;
  readonly storage: SagaStorage;
  readonly registry: SagaRegistry;
  readonly executor: SagaExecutor;
  readonly clock: Clock;
  readonly log: Log;
}

const CLAIM_INTERVAL_MS = 1_000;
/** Sagas claimed by one statement: peers share what a dead worker leaves. */
const CLAIM_CHUNK = 200;

/** Claims sagas that nobody runs, at the start and once a second, and hands them to the executor. */
export class SagaWorker {
  private readonly loop: PollingLoop;

  constructor(private readonly settings: SagaWorkerSettings) {
    const round = () => this.claim();
    this.loop = new PollingLoop({
      ...settings,
      name: 'claiming sagas',
      round,
      interval: CLAIM_INTERVAL_MS,
      maxInterval: CLAIM_INTERVAL_MS,
    });
  }

  start(): void {
    this.settings.executor.start();
    this.loop.start();
  }

  /** Looks for work at once. */
  wake(): void {
    this.loop.wake();
  }

  /** Claims nothing more and drains what runs. Resolves to the number of sagas that would not let go. */
  async stop(timeoutMs: number): Promise<number> {
    const [stillRunning] = await Promise.all([this.settings.executor.drain(timeoutMs), this.loop.stop()]);
    return stillRunning;
  }

  private async claim(): Promise<boolean> {
    const { identity, executor, registry, storage, leaseMs } = this.settings;
    const limit = Math.min(executor.room, CLAIM_CHUNK);
    const versions = registry.versions();
    if (limit <= 0 || versions.length === 0 || !identity.isAlive()) return false;
    const claimed = await storage.claim({
      workerId: identity.id,
      leaseMs,
      versions,
      lost: [...executor.lost],
      limit,
    });
    for (const saga of claimed) executor.accept(saga);
    return claimed.length === limit;
  }
}
