import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Compensate, NonRetryableError, Saga, SagaOrchestrator, SagaStep, SagazModule } from 'nestjs-sagaz';
import type { CompensationContext, SagaContext } from 'nestjs-sagaz';

type Order = { item: string; card: string };

@Saga({ name: 'order' })
class OrderSaga {
  @SagaStep()
  async reserve(ctx: SagaContext<Order>) {
    await ctx.publish({ type: 'stock.reserved', key: ctx.input.item, payload: ctx.input });
    return { shelf: 7 };
  }
  @Compensate('reserve')
  release(ctx: CompensationContext<Order, { shelf: number }>) {
    console.log(`${ctx.input.item} is back on shelf ${ctx.result?.shelf}`);
  }
  @SagaStep()
  charge(ctx: SagaContext<Order>) {
    if (ctx.input.card === 'expired') throw new NonRetryableError('card declined');
    return `paid for ${ctx.input.item}`;
  }
}

@Module({ imports: [SagazModule.forRoot()], providers: [OrderSaga] })
class AppModule {}

const app = await NestFactory.createApplicationContext(AppModule, { logger: ['warn', 'error'] });
for (const card of ['valid', 'expired']) {
  const result = await app.get(SagaOrchestrator).execute(OrderSaga, { item: 'tea', card });
  console.log(result.status, result.status === 'completed' ? result.results.charge : result.error.message);
}
await app.close();
