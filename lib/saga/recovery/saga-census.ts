import { Census } from '../../runtime/census.js';
import type { Clock } from '../../runtime/clock.js';
import type { Log } from '../../runtime/log.js';
import type { SagaNumbers, SagaStorage, StrandedSagas } from '../saga-storage.js';

export interface SagaCensusSettings {
  readonly storage: SagaStorage;
  /** Whether this process speaks for the cluster: one does at a time. */
  readonly leads: () => Promise<boolean>;
  readonly clock: Clock;
  readonly log: Log;
}

const NUMBERS_INTERVAL_MS = 5_000;
/** It may look at every saga that goes on, which takes longer. */
const STRANDED_INTERVAL_MS = 30_000;

/** Counts the sagas that somebody may have to look at, in one process of the cluster. */
export class SagaCensus {
  private readonly byStatus: Census<SagaNumbers>;
  private readonly withoutWorker: Census<readonly StrandedSagas[]>;

  constructor(settings: SagaCensusSettings) {
    const { storage } = settings;
    this.byStatus = new Census({
      ...{ ...settings, name: 'counting sagas', intervalMs: NUMBERS_INTERVAL_MS },
      count: () => storage.numbers(),
    });
    this.withoutWorker = new Census({
      ...{ ...settings, name: 'counting sagas without a worker', intervalMs: STRANDED_INTERVAL_MS },
      count: () => storage.stranded(),
    });
  }

  /** At most some seconds old; undefined in every process but one. */
  get numbers(): SagaNumbers | undefined {
    return this.byStatus.numbers;
  }

  /** At most half a minute old; undefined in every process but one. */
  get stranded(): readonly StrandedSagas[] | undefined {
    return this.withoutWorker.numbers;
  }

  start(): void {
    this.byStatus.start();
    this.withoutWorker.start();
  }

  async stop(): Promise<void> {
    await Promise.all([this.byStatus.stop(), this.withoutWorker.stop()]);
  }
}
