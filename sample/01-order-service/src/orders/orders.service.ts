import { Inject, Injectable, Logger } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { InjectMetric } from '@willsoto/nestjs-prometheus';
import { SagaOrchestrator, ShutdownError, type Duration } from 'nestjs-sagaz';
import type { Counter } from 'prom-client';
import { Like, type Repository } from 'typeorm';
import { outcomeOf } from './order-outcome.js';
import type { OrderInput } from './order-input.js';
import { OrderState } from './order-state.js';
import { OrderEntity } from './order.entity.js';
import { OrderSaga } from './order.saga.js';

/** Metric: orders settled in this process, repeated requests included, by state. */
export const ORDERS_SETTLED = 'shop_orders_settled_total';

export interface SettleOptions {
  /** Bounds the wait only; the saga goes on. Default: none. */
  readonly timeout?: Duration;
}

@Injectable()
export class OrdersService {
  private readonly logger = new Logger(OrdersService.name);

  constructor(
    @InjectRepository(OrderEntity) private readonly orders: Repository<OrderEntity>,
    @Inject(SagaOrchestrator) private readonly sagas: SagaOrchestrator,
    @InjectMetric(ORDERS_SETTLED) private readonly settled: Counter,
  ) {}

  /**
   * Runs the order's saga to its end and keeps the final state. The key makes it safe to repeat: after a crash, or
   * in a second process, the same saga is waited for, never started twice.
   *
   * @throws SagaResultTimeoutError when the wait ran out
   */
  async settle(order: OrderEntity, { timeout }: SettleOptions = {}): Promise<OrderEntity> {
    const { dataset, orderId } = order;
    const idempotencyKey = `${dataset}:${orderId}`;
    const result = await this.sagas.execute(OrderSaga, inputOf(order), { idempotencyKey, timeout });
    const outcome = { ...outcomeOf(result), sagaId: result.sagaId };
    await this.orders.update({ dataset, orderId }, outcome);
    this.settled.inc({ state: outcome.state });
    return Object.assign(order, outcome);
  }

  /** Keeps the final state whenever it comes. If this process ends before, the next start does it. */
  settleLater(order: OrderEntity): void {
    this.settle(order).catch((error: unknown) => {
      if (!(error instanceof ShutdownError)) this.logger.error(error);
    });
  }

  /** Orders without a final state, first placed first: new ones, and those a killed process left. */
  async unsettled(dataset: string): Promise<OrderEntity[]> {
    return this.orders.find({ where: { dataset, state: OrderState.Placed }, order: { position: 'ASC' } });
  }

  /** Finishes what earlier processes left in datasets whose name starts so. */
  async settleLeftovers(prefix: string): Promise<void> {
    const where = { dataset: Like(`${prefix}%`), state: OrderState.Placed };
    for (const order of await this.orders.find({ where, order: { position: 'ASC' } }))
      await this.settle(order);
  }

  /** The order of this id that was placed last, in any dataset whose name starts so. */
  async findLatest(prefix: string, orderId: string): Promise<OrderEntity | null> {
    const where = { dataset: Like(`${prefix}%`), orderId };
    return this.orders.findOne({ where, order: { placedAt: 'DESC' } });
  }
}

function inputOf({ dataset, orderId, customerId, total, shippedDate, lines }: OrderEntity): OrderInput {
  return { dataset, orderId, customerId, total, shippedDate, lines };
}
