import { bool, duration, integer, Place, section, text } from '../../runtime/readers.js';
import { SagazOptionsError } from '../../saga/state/errors.js';
import { REDIS_PLACE, redisPlace, type RedisPlace } from './redis-options.js';
import type { RedisStreamsTransportOptions } from './transport-options.js';

export interface ResolvedStreamOptions extends RedisPlace {
  readonly group: string;
  readonly prefetch: number;
  readonly claimAfter: number;
  readonly fromBeginning: boolean;
  readonly shutdownTimeout: number;
}

const read = section({
  ...REDIS_PLACE,
  group: text(),
  prefetch: integer(100),
  claimAfter: duration('30s', { min: 100 }),
  fromBeginning: bool(true),
  shutdownTimeout: duration('10s'),
});

/** @throws SagazOptionsError with every fault at once */
export function resolveStreamOptions(options: RedisStreamsTransportOptions): ResolvedStreamOptions {
  const faults: string[] = [];
  const { url, client, streamPrefix, group = '', ...rest } = read(options, new Place('', faults));
  const place = redisPlace(options, { url, client, streamPrefix }, faults);
  if (options.group === undefined) faults.push('group: expected the name of the consumer group');
  if (faults.length > 0) throw new SagazOptionsError(faults, 'RedisStreamsTransport');
  return { ...rest, ...place, group };
}
