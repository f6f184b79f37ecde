/** Payload of `order.completed`. */
export interface OrderCompletedEvent {
  readonly dataset: string;
  readonly orderId: string;
  readonly customerId: string;
  /** Decimal text. */
  readonly total: string;
  readonly trackingId?: string;
}
