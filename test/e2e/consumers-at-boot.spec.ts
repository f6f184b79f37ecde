import 'reflect-metadata';
import { Controller, Get, type Type } from '@nestjs/common';
import { EventPattern, MessagePattern, Transport, type MicroserviceOptions } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { IdempotentConsumer, SagazModule } from '../../lib/index.js';

/** A controller with a consumer of that name. */
function consumer(name: string, pattern: string | string[], on = EventPattern): Type {
  @Controller()
  class Consumer {
    @on(pattern)
    @IdempotentConsumer(name)
    take(): void {
      return;
    }
  }
  return Consumer;
}

/** Each controller in a module of its own. */
async function boot(...controllers: Type[]): Promise<void> {
  await bootWith([], controllers);
}

async function bootWith(
  microservices: readonly MicroserviceOptions[],
  controllers: readonly Type[],
): Promise<void> {
  const modules = controllers.map((controller, n) => {
    class Own {}
    Object.defineProperty(Own, 'name', { value: `Own${n}` });
    return { module: Own, controllers: [controller] };
  });
  const imports = [SagazModule.forRoot({ storage: 'memory' }), ...modules];
  const testing = await Test.createTestingModule({ imports }).compile();
  const app = testing.createNestApplication({ logger: false });
  for (const options of microservices) app.connectMicroservice(options);
  await app.init().finally(() => app.close());
}

describe('an @IdempotentConsumer at boot', () => {
  it.each<[string, Type[]]>([
    ['one event', [consumer('billing', 'paid'), consumer('mail', 'paid')]],
    ['two events under one name', [consumer('billing', 'paid'), consumer('billing', 'sent')]],
    ['wildcards that never meet', [consumer('billing', 'order.*'), consumer('mail', 'order.item.#.gone')]],
    ['one wildcard', [consumer('billing', 'order.*'), consumer('mail', 'order.*')]],
    ['no more words than there are', [consumer('billing', 'order.*'), consumer('mail', 'order')]],
  ])('may stand beside another one: %s', async (_, controllers) => {
    await expect(boot(...controllers)).resolves.toBeUndefined();
  });

  it('is refused when another one of its name gets the same messages, which would never run', async () => {
    await expect(boot(consumer('billing', 'paid'), consumer('billing', 'paid'))).rejects.toThrow(
      '@IdempotentConsumer("billing") is the name of Consumer.take and of Consumer.take, which get the same messages: the second would take each for a repeat; give it a name of its own',
    );
  });

  it('is not refused for a controller that two modules have', async () => {
    const twice = consumer('billing', 'paid');
    await expect(boot(twice, twice)).resolves.toBeUndefined();
  });

  it.each([
    ['order.paid', 'order.*'],
    ['order.*', '*.paid'],
    ['order.paid', '#'],
    ['#.paid', 'order.#'],
    ['order', 'order.#'],
  ])('is refused when Nest would call only one of the two: %s and %s', async (one, other) => {
    await expect(boot(consumer('billing', one), consumer('mail', other))).rejects.toThrow(
      '@IdempotentConsumer("billing") and ("mail") share some patterns',
    );
  });

  it('is refused on a handler that gets no events', async () => {
    const reason =
      '@IdempotentConsumer("billing"): Consumer.take has no @EventPattern; for anything else call inbox.process';
    const wrong = consumer('billing', 'paid', MessagePattern);
    await expect(boot(wrong)).rejects.toThrow(reason);
    const rabbitMq: MicroserviceOptions = { transport: Transport.RMQ, options: { noAck: false } };
    await expect(bootWith([rabbitMq], [wrong])).rejects.toThrow(reason);
    // Nest makes servers known before its hooks are called; what is thrown then comes from a timer, and fails this test.
    await new Promise((resolve) => setTimeout(resolve, 10));
    @Controller()
    class Page {
      @Get()
      @IdempotentConsumer('page')
      show(): void {
        return;
      }
    }
    await expect(boot(Page)).rejects.toThrow('Page.show has no @EventPattern');
  });
});
