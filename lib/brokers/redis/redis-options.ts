import type { Redis } from 'ioredis';
import { Place, section, show, text, type Reader } from '../../runtime/readers.js';
import { SagazOptionsError } from '../../saga/state/errors.js';
import { brokerAddress, type BrokerAddress } from '../broker-address.js';
import { envelope, type Envelope, type EnvelopeOptions } from '../envelope.js';

/** Options of {@link RedisStreamsBroker}: `url` or `client`. */
export interface RedisStreamsBrokerOptions extends EnvelopeOptions {
  /** Such as `redis://user:password@host:6379/0`, or `rediss://`. The password is never shown. */
  url?: string | undefined;
  /** A client of ioredis (no cluster), whose settings are used for a connection of its own. It is not closed. */
  client?: Redis | undefined;
  /** Before the event's type in the name of a stream. Default none. */
  streamPrefix?: string | undefined;
  /**
   * `false` (default): streams grow until somebody trims them. `'minid'`: entries that every consumer group has acknowledged
   * are removed, about every ten seconds. A group that is made later does not see them.
   */
  trim?: false | 'minid' | undefined;
}

export interface ResolvedRedisOptions {
  readonly address: BrokerAddress | undefined;
  readonly client: Redis | undefined;
  readonly envelope: Envelope;
  readonly streamPrefix: string;
  readonly trim: false | 'minid';
}

const read = section({
  envelope: envelope(),
  url: optional(brokerAddress('redis', 'rediss')),
  client: redisClient(),
  streamPrefix: text(),
  trim: trimming(),
});

/** @throws SagazOptionsError with every fault at once */
export function resolveRedisOptions(options: RedisStreamsBrokerOptions): ResolvedRedisOptions {
  const faults: string[] = [];
  const { url: address, streamPrefix = '', ...rest } = read(options, new Place('', faults));
  const given = [options.url, options.client].filter((it) => it !== undefined).length;
  if (given !== 1) faults.push('url, client: expected one of the two');
  if (faults.length > 0) throw new SagazOptionsError(faults, 'RedisStreamsBroker');
  return { ...rest, address, streamPrefix };
}

function optional<T>(reader: Reader<T>): Reader<T | undefined> {
  return (value, place) => (value === undefined ? undefined : reader(value, place));
}

function redisClient(): Reader<Redis | undefined> {
  return (value, place) => {
    if (value === undefined) return undefined;
    const { isCluster, duplicate } = Object(value) as Partial<Redis>;
    if (typeof duplicate === 'function' && !isCluster) return value as Redis;
    place.fault(`expected a client of ioredis, and no cluster, got ${isCluster ? 'a cluster' : show(value)}`);
    return undefined;
  };
}

function trimming(): Reader<false | 'minid'> {
  return (value, place) => {
    if (value === undefined || value === false || value === 'minid') return value ?? false;
    return place.expected("false or 'minid'", value, false);
  };
}
