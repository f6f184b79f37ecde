import type { Redis, RedisOptions } from 'ioredis';
import { errorText } from '../../runtime/error-text.js';
import { BrokerUnavailableError, MissingPeerError } from '../../saga/state/errors.js';
import { loadPeer } from '../load-peer.js';
import type { RedisPlace } from './redis-options.js';

const REFUSALS =
  /^(Ready check failed: )?(WRONGPASS|NOAUTH|NOPERM|ERR invalid (password|DB))|DB index is out of range/;
const UNTRUSTED = /CERT|SELF_SIGNED|ERR_TLS|ERR_SSL/;

/** A connection that is over when it breaks: ioredis would send what had no reply once more, out of order. */
const SETTINGS: RedisOptions = {
  lazyConnect: true,
  retryStrategy: () => null,
  reconnectOnError: null,
  autoResendUnfulfilledCommands: false,
  enableOfflineQueue: false,
  enableAutoPipelining: false,
  enableReadyCheck: true,
  connectionName: 'nestjs-sagaz',
  connectTimeout: 10_000,
  keepAlive: 10_000,
  // It would look for one for ever.
  sentinelRetryStrategy: () => null,
};

export interface ConnectSettings {
  /** After so many milliseconds without a reply a command has failed. Default: it waits for the connection to break. */
  readonly commandTimeout?: number;
}

/** @throws BrokerUnavailableError MissingPeerError */
export async function connectRedis(options: RedisPlace, settings: ConnectSettings = {}): Promise<Redis> {
  const client = await newClient(options, { ...SETTINGS, ...settings });
  // ioredis tells the caller that the connection is closed, and the reason only here.
  let reason: unknown;
  client.on('error', (error: unknown) => (reason ??= error));
  try {
    await client.connect();
    await probe(client, options);
    return client;
  } catch (error) {
    end(client);
    throw unavailable(options, reason ?? error);
  }
}

export function end(client: Redis): void {
  // ioredis would wait two seconds for a socket to close that is closed.
  if (client.status !== 'end') client.disconnect();
}

/**
 * Asks for a write that writes nothing, since a server may answer and yet refuse what it is given: for want of memory or
 * disk, or because it is a replica. @throws the server's refusal
 */
export async function probe(client: Redis, { streamPrefix }: RedisPlace): Promise<void> {
  try {
    await client.xadd(`${streamPrefix}nestjs-sagaz:ping`, 'NOMKSTREAM', '*', 'ping', '1');
  } catch (error) {
    // This stream is none of those that the user may write.
    if (!isDeniedKey(errorText(error))) throw error;
  }
}

/** Whether the user may add to streams, but not to this one. */
export function isDeniedKey(text: string): boolean {
  return /^NOPERM.*\bkeys?\b/i.test(text);
}

/** What a server says that takes nothing from anybody at the moment. */
const DOWN = /^(OOM|READONLY|LOADING|MISCONF|MASTERDOWN|CLUSTERDOWN|NOREPLICAS|BUSY|TRYAGAIN|NOAUTH)\b/;

/** Whether it is no event's fault: the server takes nothing, or its connection broke. */
export function isDown(error: Error): boolean {
  return error.name !== 'ReplyError' || DOWN.test(errorText(error));
}

/** The error to tell of, without credentials: ioredis's own holds the arguments of the command, AUTH's too. */
export function unavailable({ address, client }: RedisPlace, error: unknown): BrokerUnavailableError {
  if (error instanceof BrokerUnavailableError) return error;
  const text = errorText(error);
  const { code } = Object(error) as { code?: unknown };
  const refused = REFUSALS.test(text) || (typeof code === 'string' && UNTRUSTED.test(code));
  const place = address?.place ?? `redis://${client?.options.host ?? ''}:${client?.options.port ?? ''}`;
  return new BrokerUnavailableError(`Redis at ${place}`, address?.hide(text) ?? text, refused);
}

async function newClient({ address, client }: RedisPlace, settings: RedisOptions): Promise<Redis> {
  if (client) return client.duplicate({ ...settings, keyPrefix: '' });
  try {
    const ioredis = await loadPeer('ioredis', 'ioredis@5', () => import('ioredis'));
    return new ioredis.Redis(address?.url.href ?? '', settings);
  } catch (error) {
    if (error instanceof MissingPeerError) throw error;
    throw new BrokerUnavailableError('Redis', errorText(error));
  }
}
