import { OutboxSignal } from '../../outbox/outbox-signal.js';

/** Within one process. */
export class MemoryOutboxSignal extends OutboxSignal {
  private readonly listeners = new Set<() => void>();

  tell(): void {
    for (const told of this.listeners) told();
  }

  listen(told: () => void): () => void {
    this.listeners.add(told);
    return () => this.listeners.delete(told);
  }
}
