import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { IsString, Matches } from 'class-validator';
import { SagaOrchestrator } from 'nestjs-sagaz';
import { OrderSaga } from './order.saga.js';

class PlaceOrder {
  @IsString()
  @Matches(/^[\w-]{1,64}$/)
  orderId!: string;
}

@Controller('orders')
export class OrdersController {
  constructor(private readonly orchestrator: SagaOrchestrator) {}

  /** The same order again is the same saga. */
  @Post()
  @HttpCode(202)
  async place(@Body() { orderId }: PlaceOrder): Promise<{ sagaId: string }> {
    const { sagaId } = await this.orchestrator.start(OrderSaga, { orderId }, { idempotencyKey: orderId });
    return { sagaId };
  }
}
