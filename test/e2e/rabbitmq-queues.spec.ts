import 'reflect-metadata';
import { Controller } from '@nestjs/common';
import { EventPattern, Transport } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { IdempotentConsumer, SagazModule } from '../../lib/index.js';

@Controller()
class Billing {
  @EventPattern<string>('order.paid')
  @IdempotentConsumer('billing')
  bill(): void {
    return;
  }
}

@Controller()
class Careless {
  @EventPattern<string>('order.paid')
  bill(): void {
    return;
  }
}

/** What the application warns of when it is made to consume from such a queue. */
async function warnings(
  controller: typeof Billing,
  queueOptions: Record<string, unknown>,
): Promise<string[]> {
  const warned: string[] = [];
  const drop = () => undefined;
  const logger = { log: drop, error: drop, warn: (message: string) => void warned.push(message) };
  const testing = await Test.createTestingModule({
    imports: [SagazModule.forRoot({ storage: 'memory' })],
    controllers: [controller],
  }).compile();
  const app = testing.createNestApplication({ logger });
  const options = { queue: 'bills', noAck: false, queueOptions };
  app.connectMicroservice({ transport: Transport.RMQ, options });
  await app.close();
  return warned;
}

const QUORUM = { 'x-queue-type': 'quorum', 'x-dead-letter-strategy': 'at-least-once' };

describe('an application with an @IdempotentConsumer on RabbitMQ', () => {
  it.each([
    ['by its options', { deadLetterExchange: 'dead', overflow: 'reject-publish', arguments: QUORUM }],
    [
      'by its arguments',
      { arguments: { ...QUORUM, 'x-dead-letter-exchange': '', 'x-overflow': 'reject-publish' } },
    ],
    ['by others', { noAssert: true }],
  ])('says nothing of a queue that is safe %s', async (_, queueOptions) => {
    expect(await warnings(Billing, queueOptions)).toEqual([]);
  });

  it('warns of a queue without a place for messages that are given up', async () => {
    expect(await warnings(Billing, { arguments: QUORUM })).toEqual([
      'RabbitMQ queue "bills" has no dead-letter exchange in its options: unless a policy names one, messages that are given up are dropped',
    ]);
  });

  it('warns of a queue that hands dead letters on without confirmation', async () => {
    expect(await warnings(Billing, { deadLetterExchange: 'dead', arguments: QUORUM })).toEqual([
      'RabbitMQ queue "bills" loses dead letters when the server crashes: its arguments should say x-overflow: reject-publish',
    ]);
    expect(await warnings(Billing, { deadLetterExchange: 'dead' })).toEqual([
      'RabbitMQ queue "bills" loses dead letters when the server crashes: its arguments should say x-queue-type: quorum, x-dead-letter-strategy: at-least-once, x-overflow: reject-publish',
    ]);
  });

  it('says nothing where no handler gives messages up', async () => {
    expect(await warnings(Careless, {})).toEqual([]);
  });
});
