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

/** Where Redis is, and how streams are called there. */
export interface RedisPlace {
  readonly address: BrokerAddress | undefined;
  readonly client: Redis | undefined;
  readonly streamPrefix: string;
}

export interface ResolvedRedisOptions extends RedisPlace {
  readonly envelope: Envelope;
  readonly trim: false | 'minid';
}

/** Readers of what says where Redis is. */
export const REDIS_PLACE = {
  url: optional(brokerAddress('redis', 'rediss')),
  client: redisClient(),
  streamPrefix: text(),
};

const read = section({ ...REDIS_PLACE, envelope: envelope(), trim: trimming() });

/** @throws SagazOptionsError with every fault at once */
export function resolveRedisOptions(options: RedisStreamsBrokerOptions): ResolvedRedisOptions {
  const faults: string[] = [];
  const { envelope, trim, ...place } = read(options, new Place('', faults));
  const resolved = { ...redisPlace(options, place, faults), envelope, trim };
  if (faults.length > 0) throw new SagazOptionsError(faults, 'RedisStreamsBroker');
  return resolved;
}

interface GivenPlace {
  readonly url: BrokerAddress | undefined;
  readonly client: Redis | undefined;
  readonly streamPrefix: string | undefined;
}

/** @param given as the user wrote it @param place as it was read */
export function redisPlace(
  given: { readonly url?: unknown; readonly client?: unknown },
  { url, client, streamPrefix = '' }: GivenPlace,
  faults: string[],
): RedisPlace {
  if ((given.url === undefined) === (given.client === undefined))
    faults.push('url, client: expected one of the two');
  // ioredis puts its prefix before the keys of some commands only, so it is ours to do.
  return { address: url, client, streamPrefix: `${client?.options?.keyPrefix ?? ''}${streamPrefix}` };
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
