import {
  Body,
  Controller,
  Get,
  HttpStatus,
  Inject,
  NotFoundException,
  Param,
  Post,
  Res,
} from '@nestjs/common';
import type { Response } from 'express';
import { SagaResultTimeoutError } from 'nestjs-sagaz';
import { CurrentShop, SHOP_PREFIX } from '../datasets/current-shop.js';
import { PlaceOrderDto } from './dto/place-order.dto.js';
import { OrderDesk } from './order-desk.js';
import { OrderView } from './order-view.js';
import { OrdersService } from './orders.service.js';

/** A client waits this long for the end of the saga; afterwards it is told to come back. */
const PATIENCE = '10s';

@Controller('orders')
export class OrdersController {
  constructor(
    @Inject(OrderDesk) private readonly desk: OrderDesk,
    @Inject(OrdersService) private readonly orders: OrdersService,
    @Inject(CurrentShop) private readonly shop: CurrentShop,
  ) {}

  /** 201 with the final state of the order, or 202 while its saga is still running. */
  @Post()
  async place(
    @Body() body: PlaceOrderDto,
    @Res({ passthrough: true }) response: Response,
  ): Promise<OrderView> {
    const order = await this.desk.take(this.shop.dataset, body);
    try {
      return new OrderView(await this.orders.settle(order, { timeout: PATIENCE }));
    } catch (error) {
      if (!(error instanceof SagaResultTimeoutError)) throw error;
      this.orders.settleLater(order);
      response.status(HttpStatus.ACCEPTED);
      return new OrderView(order);
    }
  }

  @Get(':orderId')
  async find(@Param('orderId') orderId: string): Promise<OrderView> {
    // PostgreSQL has no NUL in texts, so no order is named so, and it would refuse the question.
    const order = orderId.includes('\0') ? null : await this.orders.findLatest(SHOP_PREFIX, orderId);
    if (!order) throw new NotFoundException(`there is no order ${orderId}`);
    return new OrderView(order);
  }
}
