export const ORDER_COMPLETED = 'shop.order-completed';
export const BILL_MADE = 'shop.bill-made';

export interface OrderCompleted {
  readonly orderId: string;
  readonly customer: string;
  readonly amount: number;
}

export interface BillMade extends OrderCompleted {
  readonly billNumber: number;
}
