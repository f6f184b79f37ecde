import type { StreamMessage } from '../redis/stream-entry.js';
import { EventContext } from './event-context.js';

type Bury = (error: Error) => Promise<void>;

/** Of an event from a Redis stream. */
export class RedisStreamsContext extends EventContext<[StreamMessage, Bury]> {
  /** Moves the event to the stream `<stream>.dead-letter`, with the error's message in the field `error`. */
  async giveUp(error: Error): Promise<void> {
    await this.args[1](error);
  }
}
