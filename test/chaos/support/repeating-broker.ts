import type { PublishItem, PublishOutcomes } from '../../../lib/index.js';
import { MessageBroker } from '../../../lib/index.js';
import type { Counted } from './takers.js';

const MOST_COPIES = 4;
const LONG_AGO_MS = 2 * 3_600_000;

/**
 * Publishes every event once when it is asked to, and after that from none to four times more, in no order, among later
 * ones. Events that are to be old get an old stamp.
 */
export class RepeatingBroker extends MessageBroker {
  readonly kind = 'repeating';
  /** Messages that went out. */
  published = 0;
  private readonly copies: PublishItem[] = [];

  constructor(
    private readonly broker: MessageBroker,
    private readonly chance: () => number,
  ) {
    super();
  }

  connect(): Promise<void> {
    return this.broker.connect();
  }

  ping(): Promise<void> {
    return this.broker.ping();
  }

  close(): Promise<void> {
    return this.broker.close();
  }

  async publish(batch: readonly PublishItem[], signal: AbortSignal): Promise<PublishOutcomes> {
    const items = batch.map(aged);
    const outcomes = await this.send(items, signal);
    for (const [n, item] of items.entries()) if (outcomes[n]?.status === 'ok') this.remember(item);
    await this.repeat(batch.length, signal);
    return outcomes;
  }

  /** Publishes the copies that are left. */
  async flush(): Promise<void> {
    while (this.copies.length > 0) await this.repeat(500, AbortSignal.timeout(30_000));
  }

  private remember(item: PublishItem): void {
    const copies = Math.floor(this.chance() * (MOST_COPIES + 1));
    for (let n = 0; n < copies; n++)
      this.copies.splice(Math.floor(this.chance() * (this.copies.length + 1)), 0, item);
  }

  private async repeat(count: number, signal: AbortSignal): Promise<void> {
    const some = this.copies.splice(0, count);
    const outcomes = await this.send(some, signal);
    this.copies.push(...some.filter((_, n) => outcomes[n]?.status !== 'ok'));
  }

  private async send(items: readonly PublishItem[], signal: AbortSignal): Promise<PublishOutcomes> {
    if (items.length === 0) return [];
    const outcomes = await this.broker.publish(items, signal);
    this.published += outcomes.filter((outcome) => outcome?.status === 'ok').length;
    return outcomes;
  }
}

function aged(item: PublishItem): PublishItem {
  if (!(JSON.parse(item.payload) as Counted).old) return item;
  return {
    ...item,
    headers: { ...item.headers, stampedAt: new Date(Date.now() - LONG_AGO_MS).toISOString() },
  };
}
