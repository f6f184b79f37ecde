import { Compensate, NonRetryableError, Saga, SagaStep } from 'nestjs-sagaz';
import type { CompensationContext, SagaContext } from 'nestjs-sagaz';
import { ORDER_COMPLETED, type OrderCompleted } from '../events.js';
import { say } from '../say.js';
import { OrderEntity } from './order.entity.js';

/** Cents. */
const CREDIT = 100_000;

/** An order and its event are committed together; a refused order leaves no event. */
@Saga({ name: 'order' })
export class OrderSaga {
  @SagaStep({ transactional: true })
  async place(ctx: SagaContext<OrderCompleted>): Promise<void> {
    await ctx.manager.insert(OrderEntity, { ...ctx.input, state: 'placed' });
  }

  @Compensate('place')
  async refuse(ctx: CompensationContext<OrderCompleted>): Promise<void> {
    const { orderId, customer } = ctx.input;
    await ctx.manager.update(OrderEntity, { orderId }, { state: 'refused' });
    say('orders', `${customer}'s order is refused`);
  }

  @SagaStep({ dependsOn: ['place'], readOnly: true })
  checkCredit(ctx: SagaContext<OrderCompleted>): void {
    if (ctx.input.amount > CREDIT) throw new NonRetryableError(`${ctx.input.customer} has no such credit`);
  }

  @SagaStep({ dependsOn: ['checkCredit'], transactional: true, readOnly: true })
  async complete(ctx: SagaContext<OrderCompleted>): Promise<void> {
    const { orderId, customer } = ctx.input;
    await ctx.manager.update(OrderEntity, { orderId }, { state: 'completed' });
    await ctx.publish({ type: ORDER_COMPLETED, key: orderId, payload: ctx.input });
    say('orders', `${customer}'s order is completed`);
  }
}
