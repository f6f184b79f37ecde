import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const PRODUCTS = 6;
const CUSTOMERS = 4;
const CREDIT_CENTS = 1_000_000;
const STOCK_FACTOR = 20;

interface Line {
  readonly product: number;
  readonly quantity: number;
  readonly percent: number;
}

interface Order {
  readonly id: number;
  readonly customer: number;
  readonly shipped: boolean;
  readonly lines: readonly Line[];
}

/** What `--json` writes, without the time it took. */
export interface Figures {
  readonly orders: number;
  readonly completed: number;
  readonly outOfStock: number;
  readonly creditRefused: number;
  readonly carrierRefused: number;
  readonly stockLeft: number;
  readonly revenue: number;
  readonly published: number;
}

/** A folder in Northwind's form with `count` orders of every outcome; other counts are other data. */
export async function writeData(folder: string, count: number): Promise<void> {
  await mkdir(folder, { recursive: true });
  const orders = makeOrders(count);
  const write = (name: string, rows: readonly string[]) =>
    writeFile(join(folder, name), `${rows.join('\n')}\n`);
  await write('products.csv', [
    'productID,productName,unitPrice,unitsInStock',
    ...ids(PRODUCTS).map((id) => `${id},Product ${id},${money(priceCents(id))},${unitsInStock(id)}`),
  ]);
  await write('customers.csv', [
    'customerID,companyName',
    ...ids(CUSTOMERS).map((id) => `C${id},Customer ${id}`),
  ]);
  await write('orders.csv', [
    'orderID,customerID,shippedDate',
    ...orders
      .map(({ id, customer, shipped }) => `${id},C${customer},${shipped ? '2026-01-15' : 'NULL'}`)
      .reverse(),
  ]);
  await write('order-details.csv', [
    'orderID,productID,unitPrice,quantity,discount',
    ...orders.flatMap(({ id, lines }) =>
      lines.map(
        (line) =>
          `${id},${line.product},${money(priceCents(line.product))},${line.quantity},${line.percent / 100}`,
      ),
    ),
  ]);
}

/** The rules once more, one order after the other, in whole cents. */
export function expectedFigures(count: number): Figures {
  const stock = new Map(ids(PRODUCTS).map((id) => [id, unitsInStock(id) * STOCK_FACTOR]));
  const credit = new Map(ids(CUSTOMERS).map((id) => [id, CREDIT_CENTS]));
  const counts = { completed: 0, outOfStock: 0, creditRefused: 0, carrierRefused: 0 };
  let revenue = 0;
  for (const { customer, shipped, lines } of makeOrders(count)) {
    const cents = totalCents(lines);
    const outcome = lines.some((line) => stock.get(line.product)! < line.quantity)
      ? 'outOfStock'
      : credit.get(customer)! < cents
        ? 'creditRefused'
        : shipped
          ? 'completed'
          : 'carrierRefused';
    counts[outcome] += 1;
    if (outcome !== 'completed') continue;
    for (const line of lines) stock.set(line.product, stock.get(line.product)! - line.quantity);
    credit.set(customer, credit.get(customer)! - cents);
    revenue += cents;
  }
  const stockLeft = [...stock.values()].reduce((sum, units) => sum + units, 0);
  return { orders: count, ...counts, stockLeft, revenue: revenue / 100, published: counts.completed };
}

export const INITIAL_STOCK = ids(PRODUCTS).reduce((sum, id) => sum + unitsInStock(id) * STOCK_FACTOR, 0);

function makeOrders(count: number): Order[] {
  return ids(count).map((id) => ({
    id,
    customer: (id % CUSTOMERS) + 1,
    shipped: id % 13 !== 0,
    lines: [
      { product: (id % PRODUCTS) + 1, quantity: 1 + ((id * 7) % 9), percent: id % 5 === 0 ? 15 : 0 },
      {
        product: ((id + 1 + (id % 4)) % PRODUCTS) + 1,
        quantity: 1 + ((id * 5) % 7),
        percent: id % 3 === 0 ? 5 : 0,
      },
    ],
  }));
}

function totalCents(lines: readonly Line[]): number {
  const hundredths = lines.reduce(
    (sum, l) => sum + priceCents(l.product) * l.quantity * (100 - l.percent),
    0,
  );
  return Math.floor((hundredths + 50) / 100);
}

function priceCents(product: number): number {
  return 1_999 * product + 5;
}

function unitsInStock(product: number): number {
  return 3 + product;
}

function money(cents: number): string {
  return `${Math.floor(cents / 100)}.${String(cents % 100).padStart(2, '0')}`;
}

function ids(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}
