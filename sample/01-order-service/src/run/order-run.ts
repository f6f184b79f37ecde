import { Inject, Injectable } from '@nestjs/common';
import type { OrderEntity } from '../orders/order.entity.js';
import { OrdersService } from '../orders/orders.service.js';

export interface OrderRunOptions {
  /** Orders in work at once. */
  readonly concurrency: number;
  /** Once aborted, no further order is taken. */
  readonly signal: AbortSignal;
  readonly onSettled: (order: OrderEntity) => void;
}

/** Works through orders: taken one after the other, up to `concurrency` of them in work at once. */
@Injectable()
export class OrderRun {
  constructor(@Inject(OrdersService) private readonly orders: OrdersService) {}

  /** @throws the first error that settling an order threw; orders not yet taken then stay as they are */
  async run(
    orders: readonly OrderEntity[],
    { concurrency, signal, onSettled }: OrderRunOptions,
  ): Promise<void> {
    const failure = new AbortController();
    const stop = AbortSignal.any([signal, failure.signal]);
    const queue = orders.values();
    const lane = async () => {
      for (let next = queue.next(); !next.done && !stop.aborted; next = queue.next()) {
        onSettled(await this.orders.settle(next.value));
      }
    };
    const lanes = Array.from({ length: Math.min(concurrency, orders.length) }, lane);
    await Promise.all(lanes).catch((error: unknown) => {
      failure.abort();
      throw error;
    });
  }
}
