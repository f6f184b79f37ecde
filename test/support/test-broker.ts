import { MessageBroker } from '../../lib/brokers/message-broker.js';
import type { PublishItem, PublishOutcome } from '../../lib/events/publish.js';

export const OK: PublishOutcome = { status: 'ok' };

/** A broker that a test may take down, and that keeps what it took. */
export class TestBroker extends MessageBroker {
  readonly kind = 'test';
  readonly taken: PublishItem[] = [];
  down = false;
  /** Called instead of taking a batch. */
  instead: ((batch: readonly PublishItem[]) => Promise<readonly PublishOutcome[]>) | undefined;

  /** @param answer what becomes of each event */
  constructor(private readonly answer: (item: PublishItem) => PublishOutcome = () => OK) {
    super();
  }

  connect(): Promise<void> {
    return Promise.resolve();
  }

  publish(batch: readonly PublishItem[]): Promise<readonly PublishOutcome[]> {
    if (this.down) return Promise.reject(new Error('no connection'));
    if (this.instead) return this.instead(batch);
    const outcomes = batch.map(this.answer);
    this.taken.push(...batch.filter((_, n) => outcomes[n]?.status === 'ok'));
    return Promise.resolve(outcomes);
  }

  ping(): Promise<void> {
    return this.down ? Promise.reject(new Error('no connection')) : Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
