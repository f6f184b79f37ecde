import type { Clock } from '../../runtime/clock.js';
import { errorText } from '../../runtime/error-text.js';
import type { Log } from '../../runtime/log.js';
import type { SagaStorage } from '../saga-storage.js';

export interface EndWatchSettings {
  readonly storage: SagaStorage;
  readonly clock: Clock;
  readonly log: Log;
}

const FIRST_LOOK_MS = 20;
const LAST_LOOK_MS = 250;

/** Looks, for all waits of this process together, which of the sagas waited for have ended in other processes. */
export class EndWatch {
  private readonly waiting = new Map<string, Set<() => void>>();
  private looking = false;
  private pause = FIRST_LOOK_MS;

  constructor(private readonly settings: EndWatchSettings) {}

  /** Calls back when the saga has ended or is not there. @returns a function that ends the wait */
  add(sagaId: string, ended: () => void): () => void {
    const callbacks = this.waiting.get(sagaId) ?? new Set<() => void>();
    this.waiting.set(sagaId, callbacks.add(ended));
    this.pause = FIRST_LOOK_MS;
    if (!this.looking) void this.look();
    return () => {
      callbacks.delete(ended);
      if (callbacks.size === 0 && this.waiting.get(sagaId) === callbacks) this.waiting.delete(sagaId);
    };
  }

  private async look(): Promise<void> {
    this.looking = true;
    while (this.waiting.size > 0) {
      await this.settings.clock.delay(this.pause);
      this.pause = Math.min(this.pause * 2, LAST_LOOK_MS);
      await this.tellEnded().catch((error: unknown) => {
        this.settings.log.warn(`looking for the ends of sagas: ${errorText(error)}`);
      });
    }
    this.looking = false;
  }

  private async tellEnded(): Promise<void> {
    for (const sagaId of await this.settings.storage.ended([...this.waiting.keys()])) {
      for (const callback of this.waiting.get(sagaId) ?? []) callback();
    }
  }
}
