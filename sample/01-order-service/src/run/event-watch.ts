import { setTimeout as delay } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import { SummaryService } from './summary.service.js';

const LOOK_EVERY_MS = 50;

export interface EventWatchOptions {
  /** How many orders must have reached the handler. */
  readonly expected: number;
  /** Give up after this long without a new one. Default: one minute. */
  readonly patienceMs?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (published: number) => void;
}

/** Waits until the events of a run have left the outbox and reached their handler. */
@Injectable()
export class EventWatch {
  constructor(@Inject(SummaryService) private readonly summary: SummaryService) {}

  /** @returns how many did; fewer than expected when nothing moved for `patienceMs`, or after an abort */
  async wait(dataset: string, options: EventWatchOptions): Promise<number> {
    const { expected, patienceMs = 60_000, signal, onProgress } = options;
    let published = await this.summary.published(dataset);
    let movedAt = performance.now();
    while (published < expected && performance.now() - movedAt < patienceMs && !signal?.aborted) {
      await delay(LOOK_EVERY_MS);
      const now = await this.summary.published(dataset);
      if (now === published) continue;
      published = now;
      movedAt = performance.now();
      onProgress?.(published);
    }
    return published;
  }
}
