import type { ChannelModel } from 'amqplib';
import { errorText } from '../../runtime/error-text.js';
import { BrokerUnavailableError, MissingPeerError } from '../../saga/state/errors.js';
import { loadPeer } from '../load-peer.js';
import { RabbitMqChannel } from './rabbitmq-channel.js';
import type { ResolvedRabbitMqOptions } from './rabbitmq-options.js';

const CONNECT_TIMEOUT_MS = 10_000;
/** Refusals of AMQP: access, another type of exchange, no such vhost; and certificates that are not trusted. */
const REFUSALS = /ACCESS.REFUSED|PRECONDITION.FAILED|NOT.ALLOWED|Expected ConnectionOpenOk|SASL mechanism/;
const UNTRUSTED = /CERT|SELF_SIGNED|ERR_TLS|ERR_SSL/;

/**
 * Opens a connection with its channel, and makes the exchange.
 * @throws BrokerUnavailableError MissingPeerError
 */
export async function connectRabbitMq(options: ResolvedRabbitMqOptions): Promise<RabbitMqChannel> {
  try {
    const amqplib = await loadPeer('amqplib', 'amqplib', () => import('amqplib'));
    const url = new URL(options.address.url);
    if (!url.searchParams.has('heartbeat'))
      url.searchParams.set('heartbeat', String(options.heartbeatSeconds));
    const connection = await amqplib.connect(url.href, {
      ...options.tls,
      ...{ timeout: CONNECT_TIMEOUT_MS, noDelay: true, keepAlive: true },
      clientProperties: { connection_name: 'nestjs-sagaz' },
    });
    return await openChannel(connection, options.exchange);
  } catch (error) {
    if (error instanceof MissingPeerError) throw error;
    throw unavailable(options, error);
  }
}

async function openChannel(connection: ChannelModel, exchange: string): Promise<RabbitMqChannel> {
  // Without a listener an error would end the process; the attempt under way is rejected with it.
  connection.on('error', () => undefined);
  try {
    const channel = await connection.createConfirmChannel();
    channel.on('error', () => undefined);
    await channel.assertExchange(exchange, 'topic', { durable: true });
    return new RabbitMqChannel(connection, channel, exchange);
  } catch (error) {
    await connection.close().catch(() => undefined);
    throw error;
  }
}

/** The error to tell of, without credentials. */
export function unavailable(
  { address }: Pick<ResolvedRabbitMqOptions, 'address'>,
  error: unknown,
): BrokerUnavailableError {
  if (error instanceof BrokerUnavailableError) return error;
  const text = errorText(error);
  const { code } = Object(error) as { code?: unknown };
  const refused = REFUSALS.test(text) || (typeof code === 'string' && UNTRUSTED.test(code));
  return new BrokerUnavailableError(`RabbitMQ at ${address.place}`, address.hide(text), refused);
}
