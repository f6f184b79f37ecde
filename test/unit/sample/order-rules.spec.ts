import fc from 'fast-check';
import type { SagaResult } from 'nestjs-sagaz';
import type { OrderData } from '../../../sample/01-order-service/src/datasets/order-data.js';
import { mergeLines } from '../../../sample/01-order-service/src/orders/order-lines.js';
import { outcomeOf } from '../../../sample/01-order-service/src/orders/order-outcome.js';
import { orderTotal } from '../../../sample/01-order-service/src/orders/order-total.js';
import { seededOrders } from '../../../sample/01-order-service/src/seed/seeded-orders.js';
import { storyOrders } from '../../../sample/01-order-service/src/seed/story-orders.js';

describe('orderTotal', () => {
  it.each([
    ['1.005', 1, '0', '1.01'],
    ['0.615', 1, '0', '0.62'],
    ['14.00', 12, '0.15', '142.80'],
    ['0.1', 3, '0', '0.30'],
    ['99999.99', 1_000_000, '0.333333', '66666693333.33'],
    ['10', 1, '1', '0.00'],
  ])('prices %s x %d less %s at %s', (unitPrice, quantity, discount, total) => {
    expect(orderTotal([{ unitPrice, quantity, discount }])).toBe(total);
  });

  it('rounds once, not per line', () => {
    const line = { unitPrice: '0.004', quantity: 1, discount: '0' };
    expect(orderTotal([line, line])).toBe('0.01');
  });

  it('agrees with whole-number arithmetic in hundredths of a cent', () => {
    const line = fc.record({ cents: fc.nat(999_999), quantity: fc.nat(999), percent: fc.nat(100) });
    fc.assert(
      fc.property(fc.array(line, { maxLength: 8 }), (lines) => {
        const exact = lines.reduce(
          (sum, l) => sum + BigInt(l.cents) * BigInt(l.quantity) * BigInt(100 - l.percent),
          0n,
        );
        const cents = (exact + 50n) / 100n;
        const text = `${cents / 100n}.${String(cents % 100n).padStart(2, '0')}`;
        const priced = lines.map(({ cents: price, quantity, percent }) => ({
          unitPrice: (price / 100).toFixed(2),
          quantity,
          discount: (percent / 100).toFixed(2),
        }));
        expect(orderTotal(priced)).toBe(text);
      }),
    );
  });
});

describe('mergeLines', () => {
  it('adds up equal products and sorts by product', () => {
    const lines = [
      { productId: 3, quantity: 1 },
      { productId: 1, quantity: 2 },
      { productId: 3, quantity: 4 },
    ];
    expect(mergeLines(lines)).toEqual([
      { productId: 1, quantity: 2 },
      { productId: 3, quantity: 5 },
    ]);
  });
});

describe('outcomeOf', () => {
  const base = {
    sagaId: 's',
    sagaName: 'order',
    startedAt: new Date(),
    endedAt: new Date(),
    durationMs: 0,
    results: {},
  };
  const ended = (status: 'compensated' | 'failed' | 'parked', code: string): SagaResult => ({
    ...base,
    status,
    error: { code, message: 'why', step: 'ship' },
  });

  it('tells the refusals apart', () => {
    expect(outcomeOf(ended('compensated', 'OUT_OF_STOCK')).state).toBe('outOfStock');
    expect(outcomeOf(ended('compensated', 'CREDIT_REFUSED')).state).toBe('creditRefused');
    expect(outcomeOf(ended('compensated', 'CARRIER_REFUSED'))).toEqual({
      state: 'carrierRefused',
      failedStep: 'ship',
      reason: 'why',
    });
  });

  it('never takes an unexpected end for a refusal', () => {
    expect(outcomeOf(ended('compensated', 'ECONNREFUSED')).state).toBe('undone');
    expect(outcomeOf(ended('failed', 'OUT_OF_STOCK')).state).toBe('failed');
    expect(outcomeOf(ended('parked', 'CARRIER_REFUSED')).state).toBe('parked');
    expect(outcomeOf({ ...base, status: 'completed' })).toEqual({
      state: 'completed',
      failedStep: null,
      reason: null,
    });
  });
});

describe('the sample orders', () => {
  it('are the same every time', () => {
    expect(seededOrders()).toEqual(seededOrders());
  });

  it.each([
    ['seeded', seededOrders()],
    ['story', storyOrders()],
  ])('%s: some of every outcome', (_name, data) => {
    const counts = simulate(data);
    expect(Object.keys(counts).sort()).toEqual([
      'carrierRefused',
      'completed',
      'creditRefused',
      'outOfStock',
    ]);
  });
});

/** The rules once more, one order after the other, in whole cents. */
function simulate({ products, customers, orders }: OrderData): Record<string, number> {
  const stock = new Map(products.map((product) => [product.productId, product.stock]));
  const credit = new Map(customers.map((customer) => [customer.customerId, cents(customer.credit)]));
  const counts: Record<string, number> = {};
  for (const { customerId, total, shippedDate, lines } of orders) {
    const left = credit.get(customerId) ?? 0;
    const lacking = lines.some((line) => (stock.get(line.productId) ?? 0) < line.quantity);
    const outcome = lacking
      ? 'outOfStock'
      : cents(total) > left
        ? 'creditRefused'
        : shippedDate === null
          ? 'carrierRefused'
          : 'completed';
    counts[outcome] = (counts[outcome] ?? 0) + 1;
    if (outcome !== 'completed') continue;
    credit.set(customerId, left - cents(total));
    for (const { productId, quantity } of lines) stock.set(productId, (stock.get(productId) ?? 0) - quantity);
  }
  return counts;
}

function cents(amount: string): number {
  return Number(amount.replace('.', ''));
}
