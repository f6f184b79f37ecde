import { randomUUID } from 'node:crypto';
import { Body, Controller, HttpCode, Inject, Post } from '@nestjs/common';
import { IsInt, Length, Min } from 'class-validator';
import { OutboxAdmin, SagaOrchestrator } from 'nestjs-sagaz';
import { ORDER_COMPLETED } from '../events.js';
import { OrderSaga } from './order.saga.js';

class PlaceOrderDto {
  @Length(1, 100)
  customer!: string;

  /** Cents. */
  @IsInt()
  @Min(1)
  amount!: number;
}

@Controller('orders')
export class OrdersController {
  private readonly started = new Date();

  constructor(
    @Inject(SagaOrchestrator) private readonly orchestrator: SagaOrchestrator,
    @Inject(OutboxAdmin) private readonly outboxAdmin: OutboxAdmin,
  ) {}

  @Post()
  async place(@Body() order: PlaceOrderDto): Promise<{ orderId: string; status: string; reason?: string }> {
    const orderId = randomUUID();
    const result = await this.orchestrator.execute(OrderSaga, { ...order, orderId });
    if (result.status === 'completed') return { orderId, status: result.status };
    return { orderId, status: result.status, reason: result.error.message };
  }

  /** Every event that this process has published goes out once more, under the same id. */
  @Post('events/again')
  @HttpCode(200)
  async publishAgain(): Promise<{ events: number }> {
    return { events: await this.outboxAdmin.republish({ type: ORDER_COMPLETED, sentAfter: this.started }) };
  }
}
