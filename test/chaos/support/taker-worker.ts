import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Transport, type MicroserviceOptions } from '@nestjs/microservices';
import { TypeOrmModule } from '@nestjs/typeorm';
import { logLevel } from 'kafkajs';
import { SagazModule } from '../../../lib/index.js';
import { RedisStreamsTransport } from '../../../lib/microservices.js';
import { DEAD, GROUP } from '../../support/brokers/places.js';
import { safeQueue } from '../../support/brokers/safe-queue.js';
import { INBOX, Takers } from './takers.js';

const { CHAOS_LEDGER_URL = '', CHAOS_BROKER = '', CHAOS_ADDRESS = '' } = process.env;

@Module({
  imports: [
    TypeOrmModule.forRoot({ type: 'postgres', url: CHAOS_LEDGER_URL }),
    SagazModule.forRoot({ worker: false, migrations: 'run', inbox: INBOX }),
  ],
  controllers: [Takers],
})
class TakerModule {}

/** The transports of Nest as its users set them up, only quicker to find out that somebody has died. */
const TRANSPORTS: Readonly<Record<string, () => MicroserviceOptions>> = {
  rabbitmq: () => ({
    transport: Transport.RMQ,
    options: {
      ...{ urls: [CHAOS_ADDRESS], queue: GROUP, exchange: 'saga-events', exchangeType: 'topic' },
      ...{ wildcards: true, noAck: false, prefetchCount: 20 },
      queueOptions: safeQueue(DEAD),
      socketOptions: { heartbeatIntervalInSeconds: 1, reconnectTimeInSeconds: 1 },
    },
  }),
  kafka: () => {
    const retry = { initialRetryTime: 20, maxRetryTime: 500, retries: 30 };
    return {
      transport: Transport.KAFKA,
      options: {
        client: { brokers: CHAOS_ADDRESS.split(','), logLevel: logLevel.NOTHING, retry },
        consumer: { groupId: GROUP, sessionTimeout: 2_000, heartbeatInterval: 300, retry },
        subscribe: { fromBeginning: true },
      },
    };
  },
  redis: () => ({
    strategy: new RedisStreamsTransport({ url: CHAOS_ADDRESS, group: GROUP, claimAfter: '1s' }),
  }),
};

/** A process of the service that consumes. */
async function main(): Promise<void> {
  const app = await NestFactory.create(TakerModule, { logger: false, abortOnError: false });
  const end = () => void app.close().then(() => process.disconnect?.());
  process.once('SIGTERM', end);
  process.once('disconnect', end);
  const transport = TRANSPORTS[CHAOS_BROKER];
  if (!transport) throw new Error(`CHAOS_BROKER: ${CHAOS_BROKER}`);
  app.connectMicroservice(transport());
  await app.init();
  await app.startAllMicroservices();
  process.send?.({ kind: 'ready' });
}

void main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
});
