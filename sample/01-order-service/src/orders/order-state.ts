/** Where an order stands; everything but `placed` is final. */
export const OrderState = {
  Placed: 'placed',
  Completed: 'completed',
  OutOfStock: 'outOfStock',
  CreditRefused: 'creditRefused',
  CarrierRefused: 'carrierRefused',
  /** Undone for a reason that is no business refusal. */
  Undone: 'undone',
  /** An undo gave up: an operator is needed. */
  Failed: 'failed',
  /** Must not run on by itself: an operator is needed. */
  Parked: 'parked',
} as const;

export type OrderState = (typeof OrderState)[keyof typeof OrderState];
