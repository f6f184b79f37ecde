import type { CustomTransportStrategy } from '@nestjs/microservices';
import { harmless } from '../../runtime/log.js';
import { StreamConsumer } from '../redis/stream-consumer.js';
import type { StreamMessage } from '../redis/stream-entry.js';
import { resolveStreamOptions, type ResolvedStreamOptions } from '../redis/stream-options.js';
import type { RedisStreamsTransportOptions } from '../redis/transport-options.js';
import { EventServer } from './event-server.js';
import { RedisStreamsContext } from './redis-streams.context.js';

/**
 * Delivers what a `RedisStreamsBroker` has published to the application's `@EventPattern(type)` handlers:
 * `app.connectMicroservice({ strategy: new RedisStreamsTransport({ url, group: 'billing' }) })`.
 * Events are shared by the processes of a group. In a process those of one type and key come one after the other; two
 * processes may have events of one key at the same time. A handler that fails gets its event again, after 200 ms x 2 up to
 * 5 s, and what comes after it in its key waits. Needs Redis 6.2 and the package `ioredis`, version 5.
 */
export class RedisStreamsTransport extends EventServer implements CustomTransportStrategy {
  private readonly options: ResolvedStreamOptions;
  private consumer: StreamConsumer | undefined;

  /** @throws SagazOptionsError */
  constructor(options: RedisStreamsTransportOptions) {
    super();
    this.options = resolveStreamOptions(options);
  }

  /** A server that is down is waited for; what refuses this client, or a pattern with wildcards, ends the boot. */
  listen(callback: (error?: unknown) => void): void {
    this.start().then(() => callback(), callback);
  }

  /** Takes no more events, and waits for the handlers, at most `shutdownTimeout`. */
  async close(): Promise<void> {
    await this.consumer?.stop();
    this.consumer = undefined;
  }

  on(): void {
    throw new Error('RedisStreamsTransport has no events of its own');
  }

  unwrap<T>(): T {
    return this.consumer as T;
  }

  private async start(): Promise<void> {
    const types = [...this.messageHandlers].flatMap(([type, { isEventHandler }]) =>
      isEventHandler ? [type] : [],
    );
    const wild = types.find((type) => /[*#>]/.test(type));
    if (wild !== undefined)
      throw new Error(
        `RedisStreamsTransport: the pattern "${wild}" is no name of an event type; Redis streams know no wildcards`,
      );
    if (types.length === 0) {
      this.logger.warn('no @EventPattern handler, so nothing is read from Redis streams');
      return;
    }
    this.consumer = new StreamConsumer({
      ...{ options: this.options, types, log: harmless(this.logger) },
      handle: (message, bury) => this.deliver(message, bury),
    });
    await this.consumer.start();
  }

  private async deliver(message: StreamMessage, bury: (error: Error) => Promise<void>): Promise<void> {
    await this.dispatch(message.type, message.payload, new RedisStreamsContext([message, bury]));
  }
}
