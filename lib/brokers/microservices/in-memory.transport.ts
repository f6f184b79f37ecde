import type { CustomTransportStrategy } from '@nestjs/microservices';
import type { PublishItem } from '../../events/publish.js';
import type { InMemoryBroker } from '../memory/in-memory-broker.js';
import { EventContext } from './event-context.js';
import { EventServer } from './event-server.js';

/** Of an event from an {@link InMemoryBroker}. */
export class InMemoryContext extends EventContext<[PublishItem]> {}

/**
 * Delivers the events of an {@link InMemoryBroker} to the application's `@EventPattern(type)` handlers:
 * `app.connectMicroservice({ strategy: new InMemoryTransport(app.get(MessageBroker)) })`.
 * It awaits the handlers, so an event whose handler fails is delivered again. A type that nobody handles is taken, and
 * said once in the log.
 */
export class InMemoryTransport extends EventServer implements CustomTransportStrategy {
  private readonly unhandled = new Set<string>();
  private unsubscribe: (() => void) | undefined;

  constructor(private readonly broker: InMemoryBroker) {
    super();
    if (typeof (broker as Partial<InMemoryBroker> | undefined)?.subscribe !== 'function') {
      throw new TypeError(
        'InMemoryTransport needs an InMemoryBroker, such as app.get(MessageBroker) without a broker option',
      );
    }
  }

  listen(callback: () => void): void {
    this.unsubscribe = this.broker.subscribe((item) => this.deliver(item));
    callback();
  }

  close(): void {
    this.unsubscribe?.();
    this.unsubscribe = undefined;
  }

  on(): void {
    throw new Error('InMemoryTransport has no events of its own');
  }

  unwrap<T>(): T {
    return this.broker as T;
  }

  private async deliver(item: PublishItem): Promise<void> {
    const context = new InMemoryContext([item]);
    if (!(await this.dispatch(item.type, JSON.parse(item.payload), context))) this.warnOnce(item.type);
  }

  private warnOnce(type: string): void {
    if (this.unhandled.has(type)) return;
    this.unhandled.add(type);
    this.logger.warn(
      `no @EventPattern handler for "${type}"; its events are dropped by the in-memory broker`,
    );
  }
}
