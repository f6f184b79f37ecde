import type { Clock } from '../../runtime/clock.js';
import type { Log } from '../../runtime/log.js';
import { PollingLoop } from '../../runtime/polling-loop.js';
import type { Telemetry } from '../../runtime/telemetry.js';
import { Turn } from '../../runtime/turn.js';
import { within } from '../../runtime/within.js';
import type { WorkerIdentity } from '../../runtime/worker-identity.js';
import type { SagaRegistry } from '../definition/saga-registry.js';
import type { SagaExecutor } from '../execution/saga-executor.js';
import type { ClaimedSaga, SagaStorage } from '../saga-storage.js';

export interface SagaWorkerSettings {
  readonly identity: WorkerIdentity;
  readonly storage: SagaStorage;
  readonly registry: SagaRegistry;
  readonly executor: SagaExecutor;
  readonly clock: Clock;
  readonly log: Log;
  readonly telemetry: Telemetry;
}

const CLAIM_INTERVAL_MS = 1_000;
/** Sagas claimed by one statement: peers share what a dead worker leaves. */
const CLAIM_CHUNK = 200;
/** Part of the drain's time that aborted handlers get to settle. */
const ABORT_SHARE = 0.2;

/** Claims sagas that nobody runs, at the start and once a second, and hands them to the executor. */
export class SagaWorker {
  private readonly loop: PollingLoop;
  private readonly turn = new Turn();
  private looking = false;

  constructor(private readonly settings: SagaWorkerSettings) {
    const round = async () => {
      await this.letGoOfTaken();
      await this.cancel();
      await this.lookForSignals();
      return (await this.claim(CLAIM_CHUNK)) === CLAIM_CHUNK;
    };
    const interval = CLAIM_INTERVAL_MS;
    this.loop = new PollingLoop({
      ...settings,
      name: 'claiming sagas',
      round,
      interval,
      maxInterval: interval,
    });
  }

  start(): void {
    this.looking = true;
    this.loop.start();
  }

  /** Looks for work at once. */
  wake(): void {
    this.loop.wake();
  }

  /**
   * Claims one saga that somebody in this process waits for, before the worker has started: otherwise a start-up hook
   * that waits for a saga of an earlier process would wait for a worker that starts after it.
   */
  async claimAwaited(sagaId: string): Promise<void> {
    if (!this.looking) await this.claim(1, sagaId);
  }

  /**
   * Claims nothing more and lets what runs finish; what does not is aborted in time to settle within the limit.
   * @returns the number of sagas of which something may still be running
   */
  async stop(timeoutMs: number): Promise<number> {
    const { executor, clock } = this.settings;
    executor.close();
    const idle = this.loop.stop().then(() => executor.idle());
    if (await within(clock, timeoutMs * (1 - ABORT_SHARE), idle)) return executor.leftRunning;
    executor.stop();
    await within(clock, timeoutMs * ABORT_SHARE, idle);
    return executor.leftRunning;
  }

  /** Stops what an operator or another process has taken: it may be in the midst of a handler, or of a pause. */
  private async letGoOfTaken(): Promise<void> {
    const { executor, storage } = this.settings;
    const { claims } = executor;
    const taken = new Set(claims.length > 0 ? await storage.taken(claims) : []);
    for (const claim of claims) if (taken.has(claim.sagaId)) executor.takenFrom(claim);
  }

  /** Turns back what somebody else wants cancelled. */
  private async cancel(): Promise<void> {
    const { executor, storage } = this.settings;
    const { held } = executor;
    const wanted = held.length > 0 ? await storage.cancelRequested(held) : [];
    await Promise.all(wanted.map((sagaId) => executor.cancel(sagaId)));
  }

  /** Signals that other processes took for sagas that wait for them here. */
  private async lookForSignals(): Promise<void> {
    const { executor, storage } = this.settings;
    const { awaiting } = executor;
    if (awaiting.length > 0) executor.signalled(await storage.signals(awaiting));
  }

  /** One claim at a time: a second one would not know what the first is about to get. */
  private claim(chunk: number, only?: string): Promise<number> {
    return this.turn.run(() => this.settings.executor.withRoom(chunk, (limit) => this.request(limit, only)));
  }

  private async request(limit: number, only: string | undefined): Promise<readonly ClaimedSaga[]> {
    const { identity, executor, registry, storage } = this.settings;
    const versions = registry.versions();
    if (versions.length === 0 || identity.remainingMs() <= 0) return [];
    const { held, lost } = executor;
    const request = { workerId: identity.id, versions, held, lost, limit };
    const claimed = await storage.claim({ ...request, ...(only !== undefined && { only }) });
    const sagas = claimed.filter(({ orphaned }) => orphaned).length;
    if (sagas > 0) this.settings.telemetry.emit('worker.takeover', () => ({ sagas }));
    return claimed;
  }
}
