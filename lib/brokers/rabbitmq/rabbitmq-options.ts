import type { ConnectionOptions } from 'node:tls';
import type { Duration } from '../../runtime/duration.js';
import { duration, integer, oneOf, Place, section, type Reader } from '../../runtime/readers.js';
import { SagazOptionsError } from '../../saga/state/errors.js';
import { brokerAddress, type BrokerAddress } from '../broker-address.js';
import { envelope, type Envelope, type EnvelopeOptions } from '../envelope.js';

/** Options of {@link RabbitMqBroker}. */
export interface RabbitMqBrokerOptions extends EnvelopeOptions {
  /** Such as `amqp://user:password@host:5672/vhost`, or `amqps://`. The password is never shown. */
  url: string;
  /** A durable topic exchange, made if it is not there. Default `'saga-events'`, at most 255 bytes. */
  exchange?: string | undefined;
  /** Events that wait for their confirm at once. From 1 to 65,535; default 1,000. */
  window?: number | undefined;
  /** What becomes of an event that no queue is bound for. Default `'dead-letter'`; `'drop'` takes it for published. */
  onUnroutable?: 'dead-letter' | 'drop' | undefined;
  /** Certificates of an `amqps://` connection, as `tls.connect` of Node takes them. */
  tls?: ConnectionOptions | undefined;
  /** A connection that is silent for twice as long is lost. At least a second; default `'10s'`. */
  heartbeat?: Duration | undefined;
}

export interface ResolvedRabbitMqOptions {
  readonly address: BrokerAddress;
  readonly envelope: Envelope;
  readonly exchange: string;
  readonly window: number;
  readonly onUnroutable: 'dead-letter' | 'drop';
  readonly tls: ConnectionOptions | undefined;
  readonly heartbeatSeconds: number;
}

const MAX_NAME_BYTES = 255;

const read = section({
  envelope: envelope(),
  url: brokerAddress('amqp', 'amqps'),
  exchange: exchangeName(),
  window: integer(1_000, { max: 65_535 }),
  onUnroutable: oneOf(['dead-letter', 'drop'], 'dead-letter'),
  tls: tlsOptions(),
  heartbeat: duration('10s', { min: 1_000 }),
});

/** @throws SagazOptionsError with every fault at once */
export function resolveRabbitMqOptions(options: RabbitMqBrokerOptions): ResolvedRabbitMqOptions {
  const faults: string[] = [];
  const { url: address, heartbeat, ...rest } = read(options, new Place('', faults));
  if (rest.tls && address?.url.protocol === 'amqp:') faults.push('tls: is of use with an amqps:// URL only');
  if (!address || faults.length > 0) throw new SagazOptionsError(faults, 'RabbitMqBroker');
  return { ...rest, address, heartbeatSeconds: Math.ceil(heartbeat / 1_000) };
}

function exchangeName(): Reader<string> {
  return (value, place) => {
    if (value === undefined) return 'saga-events';
    const fits = typeof value === 'string' && value !== '' && Buffer.byteLength(value) <= MAX_NAME_BYTES;
    return fits ? value : place.expected(`a text of 1 to ${MAX_NAME_BYTES} bytes`, value, '');
  };
}

function tlsOptions(): Reader<ConnectionOptions | undefined> {
  return (value, place) => {
    if (value === undefined || (typeof value === 'object' && value !== null)) return value ?? undefined;
    return place.expected<ConnectionOptions | undefined>('an object of TLS options', value, undefined);
  };
}
