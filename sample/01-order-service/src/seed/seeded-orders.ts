import type { NewCustomer, NewOrder, NewProduct, OrderData } from '../datasets/order-data.js';
import { CREDIT, STOCK_FACTOR } from '../northwind/shop-rules.js';
import { mergeLines } from '../orders/order-lines.js';
import { orderTotal } from '../orders/order-total.js';
import { Random } from './random.js';

const SEED = 2026;
const ORDERS = 60;
const PRODUCTS = [
  'Tea',
  'Coffee',
  'Honey',
  'Olives',
  'Rice',
  'Pasta',
  'Cheese',
  'Chocolate',
  'Pepper',
  'Jam',
];
const CUSTOMERS = ['ADLER', 'BRUNO', 'CLARA', 'DORIS', 'EDGAR', 'FLORA', 'GRETA', 'HENRI'];
const DISCOUNTS = ['0', '0', '0.05', '0.1', '0.15', '0.25'];

/** The orders of a run without `--data`: the same at every run, with some of each outcome. */
export function seededOrders(): OrderData {
  const random = new Random(SEED);
  const products = PRODUCTS.map((name, index) => product(random, index + 1, name));
  const orders = Array.from({ length: ORDERS }, (_, index) => order(random, index + 1, products));
  return { products, customers: CUSTOMERS.map(customer), orders };
}

function product(random: Random, productId: number, name: string): NewProduct {
  const unitPrice = `${random.between(4, 60)}.${random.pick(['00', '25', '49', '90'])}`;
  return { productId, name, unitPrice, stock: random.between(5, 25) * STOCK_FACTOR };
}

function customer(customerId: string): NewCustomer {
  return { customerId, name: customerId.charAt(0) + customerId.slice(1).toLowerCase(), credit: CREDIT };
}

function order(random: Random, id: number, products: readonly NewProduct[]): NewOrder {
  const lines = Array.from({ length: random.between(1, 4) }, () => {
    const { productId, unitPrice } = random.pick(products);
    return { productId, unitPrice, quantity: random.between(5, 60), discount: random.pick(DISCOUNTS) };
  });
  return {
    orderId: String(id),
    customerId: random.pick(CUSTOMERS),
    shippedDate: random.chance(0.1) ? null : '2026-01-15',
    total: orderTotal(lines),
    lines: mergeLines(lines),
  };
}
