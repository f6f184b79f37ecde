import type { Duration } from '../../runtime/duration.js';

/** Options of `RedisStreamsTransport`: `group`, and `url` or `client`. */
export interface RedisStreamsTransportOptions {
  /** Such as `redis://user:password@host:6379/0`, or `rediss://`. The password is never shown. */
  url?: string | undefined;
  /** A client of ioredis (no cluster), whose settings are used for connections of the transport's own. It is not closed. */
  client?: RedisClient | undefined;
  /** What the broker has as its `streamPrefix`. Default none. */
  streamPrefix?: string | undefined;
  /** The consumer group: every group gets every event, and the processes of a group share them. One name for each service. */
  group: string;
  /** Events that this process has in hand at once. Default 100. */
  prefetch?: number | undefined;
  /** After so long without a sign of life from its process an event goes to another one. Default 30 s, at least 100 ms. */
  claimAfter?: Duration | undefined;
  /** Whether a group that is new begins with what is in the streams already. Default true. */
  fromBeginning?: boolean | undefined;
  /** How long a shutdown waits for handlers, after the drain of sagas and relay. Default 10 s. */
  shutdownTimeout?: Duration | undefined;
}

/** A client of ioredis by its shape, so that these types need no ioredis. */
export interface RedisClient {
  duplicate(override?: object): unknown;
}
