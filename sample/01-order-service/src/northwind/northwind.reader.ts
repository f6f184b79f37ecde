import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { NewCustomer, NewOrder, NewProduct, OrderData } from '../datasets/order-data.js';
import { mergeLines } from '../orders/order-lines.js';
import { orderTotal, type PricedLine } from '../orders/order-total.js';
import { UserError } from '../user.error.js';
import { readCsv } from './csv-file.js';
import type { CsvRow } from './csv-row.js';
import { CREDIT, STOCK_FACTOR } from './shop-rules.js';

const ID = { min: 1, max: 2_147_483_647 };
const UNITS = { min: 0, max: 1_000_000 };
const QUANTITY = { min: 1, max: 1_000_000 };
const PRICE = { min: 0, max: 1_000_000_000 };
const DISCOUNT = { min: 0, max: 1 };

interface Line extends PricedLine {
  readonly productId: number;
}

/**
 * Reads and checks a whole folder of Northwind files: products, customers, orders, order-details.
 *
 * @throws UserError for the first fault, naming file, line and column
 */
export async function readNorthwind(folder: string): Promise<OrderData> {
  await checkFolder(folder);
  const read = (file: string, columns: readonly string[]) => readCsv(join(folder, file), columns);
  const products = await read('products.csv', ['productID', 'productName', 'unitPrice', 'unitsInStock']);
  const customers = await read('customers.csv', ['customerID', 'companyName']);
  const orders = await read('orders.csv', ['orderID', 'customerID', 'shippedDate']);
  const lines = await read('order-details.csv', [
    'orderID',
    'productID',
    'unitPrice',
    'quantity',
    'discount',
  ]);
  return toOrderData({ products, customers, orders, lines });
}

async function checkFolder(folder: string): Promise<void> {
  const found = await stat(folder).catch(() => undefined);
  if (!found)
    throw new UserError(`There is no folder ${folder}; --data names the folder with the CSV files.`);
  if (!found.isDirectory())
    throw new UserError(`${folder} is a file; --data names the folder with the CSV files.`);
}

interface Tables {
  readonly products: readonly CsvRow[];
  readonly customers: readonly CsvRow[];
  readonly orders: readonly CsvRow[];
  readonly lines: readonly CsvRow[];
}

function toOrderData({ products, customers, orders, lines }: Tables): OrderData {
  const productRows = byKey(products, 'productID', productId);
  const customerRows = byKey(customers, 'customerID', customerId);
  const orderRows = byKey(orders, 'orderID', orderId);
  const linesOf = groupLines(lines, orderRows, productRows);
  const taken = [...orderRows].sort(([one], [other]) => one - other);
  return {
    products: [...productRows].map(([id, row]) => toProduct(id, row)),
    customers: [...customerRows].map(([id, row]) => toCustomer(id, row)),
    orders: taken.map(([id, row]) => toOrder(row, customerRows, linesOf.get(id))),
  };
}

const productId = (row: CsvRow): number => row.integer('productID', ID);
const orderId = (row: CsvRow): number => row.integer('orderID', ID);
const customerId = (row: CsvRow): string => row.text('customerID');

function byKey<K>(rows: readonly CsvRow[], column: string, keyOf: (row: CsvRow) => K): Map<K, CsvRow> {
  const found = new Map<K, CsvRow>();
  for (const row of rows) {
    const earlier = found.get(keyOf(row));
    if (earlier) throw row.fault(column, `stands in line ${earlier.line} already`);
    found.set(keyOf(row), row);
  }
  return found;
}

function groupLines(
  lines: readonly CsvRow[],
  orders: ReadonlyMap<number, CsvRow>,
  products: ReadonlyMap<number, CsvRow>,
): Map<number, Line[]> {
  const groups = new Map<number, Line[]>();
  for (const row of lines) {
    if (!orders.has(orderId(row))) throw row.fault('orderID', 'is not in orders.csv');
    if (!products.has(productId(row))) throw row.fault('productID', 'is not in products.csv');
    const group = groups.get(orderId(row)) ?? [];
    groups.set(orderId(row), [...group, toLine(row)]);
  }
  return groups;
}

function toLine(row: CsvRow): Line {
  return {
    productId: productId(row),
    unitPrice: row.decimal('unitPrice', PRICE),
    quantity: row.integer('quantity', QUANTITY),
    discount: row.decimal('discount', DISCOUNT),
  };
}

function toProduct(id: number, row: CsvRow): NewProduct {
  return {
    productId: id,
    name: row.text('productName'),
    unitPrice: row.decimal('unitPrice', PRICE),
    stock: row.integer('unitsInStock', UNITS) * STOCK_FACTOR,
  };
}

function toCustomer(id: string, row: CsvRow): NewCustomer {
  return { customerId: id, name: row.text('companyName'), credit: CREDIT };
}

function toOrder(row: CsvRow, customers: ReadonlyMap<string, CsvRow>, lines: Line[] = []): NewOrder {
  if (!customers.has(customerId(row))) throw row.fault('customerID', 'is not in customers.csv');
  if (lines.length === 0) throw row.fault('orderID', 'has no line in order-details.csv');
  return {
    orderId: String(orderId(row)),
    customerId: customerId(row),
    shippedDate: row.optionalDate('shippedDate'),
    total: orderTotal(lines),
    lines: mergeLines(lines),
  };
}
