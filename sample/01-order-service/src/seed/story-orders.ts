import type { NewOrder, OrderData, OrderLine } from '../datasets/order-data.js';
import { orderTotal } from '../orders/order-total.js';

const PRODUCTS = [
  { productId: 1, name: 'Tea', unitPrice: '18.00', stock: 40 },
  { productId: 2, name: 'Honey', unitPrice: '9.50', stock: 60 },
  { productId: 3, name: 'Espresso machine', unitPrice: '449.00', stock: 12 },
];

const CUSTOMERS = [
  { customerId: 'ADA', name: 'Ada', credit: '2000.00' },
  { customerId: 'BEN', name: 'Ben', credit: '800.00' },
];

const DATE = '2026-01-15';

/** A few orders, chosen so that every outcome shows once and the shop has something left to sell. */
export function storyOrders(): OrderData {
  return {
    products: PRODUCTS,
    customers: CUSTOMERS,
    orders: [
      order('1', 'ADA', DATE, [line('Tea', 3), line('Honey', 2)]),
      order('2', 'BEN', DATE, [line('Espresso machine', 1)]),
      order('3', 'ADA', DATE, [line('Tea', 5), line('Honey', 100)]),
      order('4', 'BEN', DATE, [line('Espresso machine', 1)]),
      order('5', 'ADA', null, [line('Espresso machine', 2)]),
      order('6', 'ADA', DATE, [line('Espresso machine', 2), line('Honey', 1)]),
    ],
  };
}

function line(name: string, quantity: number): OrderLine {
  const productId = PRODUCTS.findIndex((product) => product.name === name) + 1;
  return { productId, quantity };
}

function order(
  orderId: string,
  customerId: string,
  shippedDate: string | null,
  lines: OrderLine[],
): NewOrder {
  const priced = lines.map(({ productId, quantity }) => ({
    unitPrice: priceOf(productId),
    quantity,
    discount: '0',
  }));
  return { orderId, customerId, shippedDate, lines, total: orderTotal(priced) };
}

function priceOf(productId: number): string {
  return PRODUCTS.find((product) => product.productId === productId)?.unitPrice ?? '0';
}
