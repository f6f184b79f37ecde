import { Decimal } from 'decimal.js';

/** Far more digits than prices, quantities and discounts have: products and sums below are never rounded. */
const Exact = Decimal.clone({ precision: 1_000, rounding: Decimal.ROUND_HALF_UP });

/** A line with its price; price and discount are decimal text, so nothing passes through binary floating point. */
export interface PricedLine {
  readonly unitPrice: string;
  readonly quantity: number;
  /** 0 .. 1 */
  readonly discount: string;
}

/** Sum of price x quantity x (1 - discount), rounded half up to cents once, as `round(numeric, 2)` does. */
export function orderTotal(lines: readonly PricedLine[]): string {
  const sum = lines.reduce((total, line) => total.plus(lineTotal(line)), new Exact(0));
  return sum.toFixed(2, Decimal.ROUND_HALF_UP);
}

function lineTotal({ unitPrice, quantity, discount }: PricedLine): Decimal {
  return new Exact(unitPrice).times(quantity).times(new Exact(1).minus(discount));
}
