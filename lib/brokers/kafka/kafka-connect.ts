import type { Kafka } from 'kafkajs';
import { MissingPeerError } from '../../saga/state/errors.js';
import { loadPeer } from '../load-peer.js';
import { unavailable } from './kafka-errors.js';
import { KafkaSession } from './kafka-session.js';
import type { ResolvedKafkaOptions } from './kafka-options.js';

/** The relay repeats what fails; kafkajs repeats what a change of leaders needs. */
const RETRY = { retries: 2, initialRetryTime: 100, maxRetryTime: 1_000 };
const CONNECT_TIMEOUT_MS = 5_000;

/** @throws BrokerUnavailableError MissingPeerError */
export async function connectKafka(options: ResolvedKafkaOptions): Promise<KafkaSession> {
  try {
    const { Partitioners, CompressionTypes } = await loadKafka();
    const client = await kafkaOf(options);
    const producer = client.producer({
      ...{ idempotent: true, allowAutoTopicCreation: false, retry: RETRY },
      createPartitioner: Partitioners.DefaultPartitioner,
    });
    try {
      await producer.connect();
    } catch (error) {
      await producer.disconnect().catch(() => undefined);
      throw error;
    }
    const compression = options.compression === 'gzip' ? CompressionTypes.GZIP : CompressionTypes.None;
    return new KafkaSession(producer, compression);
  } catch (error) {
    if (error instanceof MissingPeerError) throw error;
    throw unavailable(options, error);
  }
}

/** Resolves when the cluster answers, on a connection of its own. @throws BrokerUnavailableError MissingPeerError */
export async function askKafka(options: ResolvedKafkaOptions): Promise<void> {
  const admin = (await kafkaOf(options)).admin({ retry: RETRY });
  try {
    await admin.connect();
    await admin.describeCluster();
  } catch (error) {
    throw unavailable(options, error);
  } finally {
    await admin.disconnect().catch(() => undefined);
  }
}

async function kafkaOf({ client, brokers, clientId, ssl, sasl }: ResolvedKafkaOptions): Promise<Kafka> {
  if (client) return client;
  const { Kafka, logLevel } = await loadKafka();
  return new Kafka({
    ...{ brokers: [...(brokers ?? [])], clientId, retry: RETRY, connectionTimeout: CONNECT_TIMEOUT_MS },
    ...(ssl === undefined ? {} : { ssl }),
    ...(sasl === undefined ? {} : { sasl }),
    // What goes wrong is told by outcomes and errors.
    logLevel: logLevel.NOTHING,
  });
}

function loadKafka() {
  return loadPeer('kafkajs', 'kafkajs', () => import('kafkajs'));
}
