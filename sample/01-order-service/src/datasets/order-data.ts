import { createHash } from 'node:crypto';

/** A product as it stands before the first order. */
export interface NewProduct {
  readonly productId: number;
  readonly name: string;
  /** Decimal text. */
  readonly unitPrice: string;
  /** Units in stock. */
  readonly stock: number;
}

export interface NewCustomer {
  readonly customerId: string;
  readonly name: string;
  /** Decimal text with two places: how much may still be charged. */
  readonly credit: string;
}

/** What an order takes of one product. */
export interface OrderLine {
  readonly productId: number;
  readonly quantity: number;
}

export interface NewOrder {
  readonly orderId: string;
  readonly customerId: string;
  /** Decimal text with two places. */
  readonly total: string;
  /** Null: the carrier has no date for it and refuses it. */
  readonly shippedDate: string | null;
  /** One line per product, by product id. */
  readonly lines: readonly OrderLine[];
}

/** Everything one run works on; `orders` stand in the order in which they are taken. */
export interface OrderData {
  readonly products: readonly NewProduct[];
  readonly customers: readonly NewCustomer[];
  readonly orders: readonly NewOrder[];
}

/** Equal data has an equal name, so the same command continues its own run and never touches another's. */
export function datasetName(prefix: string, data: OrderData): string {
  const digest = createHash('sha256').update(JSON.stringify(data)).digest('hex');
  return `${prefix}-${digest.slice(0, 16)}`;
}
