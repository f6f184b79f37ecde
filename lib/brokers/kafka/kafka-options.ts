import type { ConnectionOptions } from 'node:tls';
import type { Kafka, SASLOptions } from 'kafkajs';
import { oneOf, Place, section, show, text, type Reader } from '../../runtime/readers.js';
import { SagazOptionsError } from '../../saga/state/errors.js';
import { envelope, type Envelope, type EnvelopeOptions } from '../envelope.js';

/** Options of {@link KafkaBroker}: `brokers` with what belongs to them, or `client`. */
export interface KafkaBrokerOptions extends EnvelopeOptions {
  /** Where to find the cluster, such as `['kafka-1:9092', 'kafka-2:9092']`. */
  brokers?: readonly string[] | undefined;
  /** Named in the logs of the cluster. Default `'nestjs-sagaz'`. */
  clientId?: string | undefined;
  /** TLS: `true`, or certificates as `tls.connect` of Node takes them. Default none. */
  ssl?: boolean | ConnectionOptions | undefined;
  /** Credentials, as kafkajs takes them. Never shown. */
  sasl?: SASLOptions | undefined;
  /**
   * A client of kafkajs, instead of the four above. Not a producer: after a send that failed kafkajs gives the same numbers
   * to other messages, which the cluster drops as repeats, so a producer has to be replaced then.
   */
  client?: Kafka | undefined;
  /** Before the event's type in the name of a topic. Default none. */
  topicPrefix?: string | undefined;
  /** Default `'none'`. */
  compression?: 'none' | 'gzip' | undefined;
}

export interface ResolvedKafkaOptions {
  readonly envelope: Envelope;
  readonly brokers: readonly string[] | undefined;
  readonly clientId: string;
  readonly ssl: boolean | ConnectionOptions | undefined;
  readonly sasl: SASLOptions | undefined;
  readonly client: Kafka | undefined;
  readonly topicPrefix: string;
  readonly compression: 'none' | 'gzip';
}

const OF_BROKERS = ['clientId', 'ssl', 'sasl'] as const;

const read = section({
  envelope: envelope(),
  brokers: addresses(),
  clientId: text(),
  ssl: switchOrObject(),
  sasl: saslOptions(),
  client: kafkaClient(),
  topicPrefix: text(),
  compression: oneOf(['none', 'gzip'], 'none'),
});

/** @throws SagazOptionsError with every fault at once */
export function resolveKafkaOptions(options: KafkaBrokerOptions): ResolvedKafkaOptions {
  const faults: string[] = [];
  const { clientId = 'nestjs-sagaz', topicPrefix = '', ...rest } = read(options, new Place('', faults));
  const given = [options.brokers, options.client].filter((it) => it !== undefined).length;
  if (given !== 1) faults.push('brokers, client: expected one of the two');
  const stray = OF_BROKERS.filter((name) => options[name] !== undefined);
  if (options.client !== undefined && stray.length > 0)
    faults.push(`${stray.join(', ')}: of no use beside client, which has its own`);
  if (faults.length > 0) throw new SagazOptionsError(faults, 'KafkaBroker');
  return { ...rest, clientId, topicPrefix };
}

const ADDRESSES = "an array of 'host:port'";

function addresses(): Reader<readonly string[] | undefined> {
  return (value, place) => {
    if (value === undefined || (Array.isArray(value) && value.length > 0 && value.every(isAddress)))
      return value;
    // A text here may be a URL with a password.
    place.fault(`expected ${ADDRESSES}, got ${typeof value === 'string' ? 'a text' : show(value)}`);
    return undefined;
  };
}

function isAddress(value: unknown): value is string {
  return typeof value === 'string' && /^[^:/@\s]+:\d+$/.test(value);
}

function switchOrObject(): Reader<boolean | ConnectionOptions | undefined> {
  return (value, place) => {
    const fits = typeof value === 'boolean' || (typeof value === 'object' && value !== null);
    if (value === undefined || fits) return value;
    place.expected('true, false or an object of TLS options', value, undefined);
    return undefined;
  };
}

function saslOptions(): Reader<SASLOptions | undefined> {
  return (value, place) => {
    if (value === undefined) return undefined;
    const { mechanism } = Object(value) as { mechanism?: unknown };
    if (typeof mechanism === 'string') return value as SASLOptions;
    // A text here is often a password.
    place.fault('expected an object with a mechanism, as kafkajs takes it');
    return undefined;
  };
}

function kafkaClient(): Reader<Kafka | undefined> {
  return (value, place) => {
    const { producer, admin } = Object(value) as Partial<Kafka>;
    if (value === undefined || (typeof producer === 'function' && typeof admin === 'function'))
      return value as Kafka | undefined;
    place.expected('a client of kafkajs', value, undefined);
    return undefined;
  };
}
