import type { OrderLine } from '../datasets/order-data.js';
import type { OrderState } from './order-state.js';
import type { OrderEntity } from './order.entity.js';

/** An order as HTTP clients see it. */
export class OrderView {
  readonly orderId: string;
  readonly customerId: string;
  readonly total: string;
  readonly lines: readonly OrderLine[];
  readonly state: OrderState;
  readonly failedStep: string | null;
  readonly reason: string | null;
  readonly sagaId: string | null;

  constructor(order: OrderEntity) {
    this.orderId = order.orderId;
    this.customerId = order.customerId;
    this.total = order.total;
    this.lines = order.lines;
    this.state = order.state;
    this.failedStep = order.failedStep;
    this.reason = order.reason;
    this.sagaId = order.sagaId;
  }
}
