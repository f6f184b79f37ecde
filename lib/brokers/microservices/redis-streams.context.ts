import { BaseRpcContext } from '@nestjs/microservices';
import type { StreamMessage } from '../redis/stream-entry.js';

type Bury = (error: Error) => Promise<void>;

/** Second argument of an `@EventPattern` handler, or `@Ctx()`: the event without its payload. */
export class RedisStreamsContext extends BaseRpcContext<[StreamMessage, Bury]> {
  /** Stable over redeliveries. */
  get eventId(): string {
    return this.args[0].eventId;
  }

  get key(): string {
    return this.args[0].key;
  }

  get headers(): Readonly<Record<string, string>> {
    return this.args[0].headers;
  }

  /** Moves the event to the stream `<stream>.dead-letter`, with the error's message in the field `error`. */
  async giveUp(error: Error): Promise<void> {
    await this.args[1](error);
  }
}
