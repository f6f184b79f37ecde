import type { SagaResult } from 'nestjs-sagaz';
import { OrderState } from './order-state.js';

export interface OrderOutcome {
  readonly state: OrderState;
  readonly failedStep: string | null;
  readonly reason: string | null;
}

const REFUSALS: Readonly<Record<string, OrderState>> = {
  OUT_OF_STOCK: OrderState.OutOfStock,
  CREDIT_REFUSED: OrderState.CreditRefused,
  CARRIER_REFUSED: OrderState.CarrierRefused,
};

/** The order's final state, from how its saga ended. */
export function outcomeOf(result: SagaResult<unknown>): OrderOutcome {
  if (result.status === 'completed') return { state: OrderState.Completed, failedStep: null, reason: null };
  const { code, message, step = null } = result.error;
  const state = result.status === 'compensated' ? (REFUSALS[code] ?? OrderState.Undone) : result.status;
  return { state, failedStep: step, reason: message };
}
