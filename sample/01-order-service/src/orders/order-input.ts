import type { OrderLine } from '../datasets/order-data.js';

/** Which order: ids are unique within a dataset. */
export interface OrderKey {
  readonly dataset: string;
  readonly orderId: string;
}

/** What the order saga works on. */
export interface OrderInput extends OrderKey {
  readonly customerId: string;
  /** Decimal text with two places. */
  readonly total: string;
  /** Null: the carrier refuses the order. */
  readonly shippedDate: string | null;
  readonly lines: readonly OrderLine[];
}
