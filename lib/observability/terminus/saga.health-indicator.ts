import { Inject, Injectable } from '@nestjs/common';
import { SAGAZ_RUNTIME } from '../../sagaz.tokens.js';
import type { Observed } from '../observed.js';
import { faultOf, healthOf, type Health } from './answer.js';

export interface SagaHealthLimits {
  /** Parked and failed sagas that are no reason to look. Default 0. */
  stuck?: number | undefined;
  /** Sagas that no living worker can run. Default 0. */
  withoutWorker?: number | undefined;
  /** Milliseconds for the storage to answer. Default 2000. */
  timeout?: number | undefined;
}

/**
 * Whether sagas can go on. `down`: the storage does not answer, is a standby, or its schema is not that of this version.
 * `degraded`: more sagas are stuck than the limits allow; only the one process that counts for the cluster knows that.
 * Add it to the providers of the module that has the health controller.
 */
@Injectable()
export class SagaHealthIndicator {
  constructor(@Inject(SAGAZ_RUNTIME) private readonly application: Observed) {}

  async isHealthy<K extends string = 'sagas'>(
    key: K = 'sagas' as K,
    { stuck: most = 0, withoutWorker: mostStranded = 0, timeout = 2_000 }: SagaHealthLimits = {},
  ): Promise<Health<K>> {
    const { application } = this;
    const down = await faultOf(application.checkStorage(), timeout);
    const { sagaNumbers: numbers, stranded } = application;
    const stuck = numbers ? numbers.failed + numbers.parked : 0;
    const withoutWorker = (stranded ?? []).reduce((sum, { count }) => sum + count, 0);
    const degraded = [
      ...(stuck > most ? [`${stuck} sagas are stuck`] : []),
      ...(withoutWorker > mostStranded ? [`${withoutWorker} sagas have no worker that can run them`] : []),
    ];
    const facts = numbers ? { ...numbers, withoutWorker } : {};
    return healthOf(key, { down, degraded, facts });
  }
}
