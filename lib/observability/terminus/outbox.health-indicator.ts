import { Inject, Injectable } from '@nestjs/common';
import { SAGAZ_RUNTIME } from '../../sagaz.tokens.js';
import type { Observed } from '../observed.js';
import { faultOf, healthOf, type Health } from './answer.js';

export interface OutboxHealthLimits {
  /** Age in milliseconds of the oldest pending event. Default 60000. */
  lag?: number | undefined;
  /** Dead letters that are no reason to look. Default 0. */
  deadLetters?: number | undefined;
  /** Milliseconds for the storage, and then for every destination, to answer. Default 2000. */
  timeout?: number | undefined;
}

/**
 * Whether events get out. `down`: the storage does not answer. `degraded`: a destination does not, so that its events wait, which
 * no restart mends; or the oldest pending event is too old, or there are dead letters, which only the one process that counts
 * for the cluster knows. Add it to the providers of the module that has the health controller.
 */
@Injectable()
export class OutboxHealthIndicator {
  constructor(@Inject(SAGAZ_RUNTIME) private readonly application: Observed) {}

  async isHealthy<K extends string = 'outbox'>(
    key: K = 'outbox' as K,
    { lag = 60_000, deadLetters: most = 0, timeout = 2_000 }: OutboxHealthLimits = {},
  ): Promise<Health<K>> {
    const { application } = this;
    const down = await faultOf(application.checkStorage(), timeout);
    const unreached = await this.unreached(timeout);
    const numbers = application.outboxNumbers;
    const oldestMs = Math.max(0, ...(numbers?.oldestAgeMs.values() ?? []));
    const deadLetters = sum(numbers?.dead);
    const degraded = [
      ...unreached,
      ...(oldestMs > lag ? [`the oldest pending event is ${Math.round(oldestMs / 1_000)} s old`] : []),
      ...(deadLetters > most ? [`${deadLetters} dead letters`] : []),
    ];
    const facts = numbers ? { pending: sum(numbers.pending), oldestMs, deadLetters } : {};
    return healthOf(key, { down, degraded, facts });
  }

  private async unreached(timeout: number): Promise<readonly string[]> {
    const { application } = this;
    const asked = application.destinations.map(async (name) => {
      const fault = await faultOf(application.pingDestination(name), timeout);
      return fault === undefined ? [] : [`destination "${name}": ${fault}`];
    });
    return (await Promise.all(asked)).flat();
  }
}

function sum(counts: ReadonlyMap<string, number> = new Map()): number {
  return [...counts.values()].reduce((total, count) => total + count, 0);
}
