import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { datasetName } from '../../../sample/01-order-service/src/datasets/order-data.js';
import { readNorthwind } from '../../../sample/01-order-service/src/northwind/northwind.reader.js';

const FILES = {
  'products.csv': [
    'productID,productName,unitPrice,unitsInStock',
    '1,Chai,18.00,2',
    '2,"Tofu, soft",23.25,1',
  ],
  'customers.csv': ['customerID,companyName', 'ALFKI,Alfreds', 'BERGS,Berglunds'],
  'orders.csv': [
    'orderID,customerID,shippedDate',
    '11,ALFKI,NULL',
    '9,BERGS,1996-07-16 00:00:00.000',
    '10,ALFKI,1996-07-16',
  ],
  'order-details.csv': [
    'orderID,productID,unitPrice,quantity,discount',
    '9,2,23.25,1,0',
    '9,1,14.40,2,0.15',
    '10,1,0.335,1,0',
    '11,1,18.00,1,0',
  ],
};
type FileName = keyof typeof FILES;

describe('readNorthwind', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'northwind-'));
    for (const name of Object.keys(FILES)) await write(name as FileName, FILES[name as FileName]);
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const write = (name: FileName, lines: readonly string[] | Buffer) =>
    writeFile(join(folder, name), Buffer.isBuffer(lines) ? lines : `${lines.join('\n')}\n`);

  /** Writes the file again with one of its lines (counted from 1) replaced. */
  const spoil = (name: FileName, line: number, text: string) =>
    write(name, FILES[name].toSpliced(line - 1, 1, text));

  it('reads products, customers and orders, the orders by number', async () => {
    const data = await readNorthwind(folder);
    expect(data.products).toEqual([
      { productId: 1, name: 'Chai', unitPrice: '18.00', stock: 40 },
      { productId: 2, name: 'Tofu, soft', unitPrice: '23.25', stock: 20 },
    ]);
    expect(data.customers[0]).toEqual({ customerId: 'ALFKI', name: 'Alfreds', credit: '10000.00' });
    expect(data.orders.map((order) => order.orderId)).toEqual(['9', '10', '11']);
    expect(data.orders[0]).toEqual({
      orderId: '9',
      customerId: 'BERGS',
      shippedDate: '1996-07-16 00:00:00.000',
      total: '47.73',
      lines: [
        { productId: 1, quantity: 2 },
        { productId: 2, quantity: 1 },
      ],
    });
    expect(data.orders[1]?.total).toBe('0.34');
    expect(data.orders[2]?.shippedDate).toBeNull();
  });

  it('takes a byte order mark, Windows line ends and empty lines', async () => {
    const text = `\ufeff${FILES['customers.csv'].join('\r\n')}\r\n\r\n`;
    await write('customers.csv', Buffer.from(text));
    await expect(readNorthwind(folder)).resolves.toMatchObject({ customers: { length: 2 } });
  });

  it('understands an unquoted comma in a text, as Northwind writes its addresses', async () => {
    await write('customers.csv', [
      'customerID,address,companyName',
      'ALFKI,24, place Kléber,Blondel',
      'BERGS,x,y',
    ]);
    const { customers } = await readNorthwind(folder);
    expect(customers.map((customer) => customer.name)).toEqual(['Blondel', 'y']);
  });

  it('adds up a product that an order names twice', async () => {
    await write('order-details.csv', [...FILES['order-details.csv'], '11,1,18.00,4,0']);
    const { orders } = await readNorthwind(folder);
    expect(orders[2]).toMatchObject({ total: '90.00', lines: [{ productId: 1, quantity: 5 }] });
  });

  it.each<[string, FileName, number, string, string]>([
    ['too few columns', 'orders.csv', 3, '9,BERGS', 'orders.csv, line 3: has 2 columns, expected 3 columns'],
    [
      'too many columns',
      'products.csv',
      2,
      '1,Chai,18.00,2,0',
      'products.csv, line 2: has 5 columns, expected 4',
    ],
    [
      'a missing column',
      'customers.csv',
      1,
      'customerID,name',
      'customers.csv, line 1: has no column companyName',
    ],
    [
      'a price that is no number',
      'order-details.csv',
      2,
      '9,2,abc,1,0',
      'line 2, column unitPrice: must be a number',
    ],
    [
      'an empty price',
      'order-details.csv',
      2,
      '9,2,,1,0',
      'column unitPrice: must be a number from 0 to 1000000000, got ""',
    ],
    [
      'a negative price',
      'products.csv',
      3,
      '2,Tofu,-1,1',
      'products.csv, line 3, column unitPrice: must be a number',
    ],
    [
      'no quantity',
      'order-details.csv',
      3,
      '9,1,1,0,0',
      'order-details.csv, line 3, column quantity: must be a whole',
    ],
    [
      'half a quantity',
      'order-details.csv',
      3,
      '9,1,1,1.5,0',
      'column quantity: must be a whole number from 1',
    ],
    [
      'a discount above 1',
      'order-details.csv',
      4,
      '10,1,1,1,1.01',
      'column discount: must be a number from 0 to 1, got',
    ],
    ['a discount that is no number', 'order-details.csv', 4, '10,1,1,1,Infinity', 'line 4, column discount'],
    [
      'stock that is no number',
      'products.csv',
      2,
      '1,Chai,18.00,many',
      'column unitsInStock: must be a whole number',
    ],
    [
      'an unknown product',
      'order-details.csv',
      2,
      '9,77,1,1,0',
      'column productID: is not in products.csv, got "77"',
    ],
    [
      'an unknown customer',
      'orders.csv',
      2,
      '11,NOBODY,NULL',
      'column customerID: is not in customers.csv, got "NOBODY"',
    ],
    [
      'an unknown order',
      'order-details.csv',
      2,
      '12,2,1,1,0',
      'column orderID: is not in orders.csv, got "12"',
    ],
    [
      'an order without lines',
      'order-details.csv',
      4,
      '9,1,1,1,0',
      'orders.csv, line 4, column orderID: has no line in',
    ],
    [
      'an order number that is none',
      'orders.csv',
      2,
      'x,ALFKI,NULL',
      'orders.csv, line 2, column orderID: must be a',
    ],
    [
      'an order number twice',
      'orders.csv',
      4,
      '9,ALFKI,NULL',
      'orders.csv, line 4, column orderID: stands in line 3',
    ],
    [
      'a date that is none',
      'orders.csv',
      3,
      '9,BERGS,soon',
      'column shippedDate: must be a date or NULL, got "soon"',
    ],
    [
      'a quote that is not closed',
      'customers.csv',
      2,
      'ALFKI,"Alfreds',
      'customers.csv, line 2: is not valid CSV',
    ],
  ])('refuses %s', async (_case, name, line, text, message) => {
    await spoil(name, line, text);
    await expect(readNorthwind(folder)).rejects.toThrow(message);
  });

  it('names a missing file, an empty one, and one in another encoding', async () => {
    await write('orders.csv', Buffer.from([0x6f, 0xff]));
    await expect(readNorthwind(folder)).rejects.toThrow('orders.csv: is not encoded in UTF-8');
    await write('orders.csv', Buffer.from(''));
    await expect(readNorthwind(folder)).rejects.toThrow('orders.csv: is empty');
    await rm(join(folder, 'orders.csv'));
    await expect(readNorthwind(folder)).rejects.toThrow('orders.csv: is missing');
  });

  it('names a missing folder, and a file in its place', async () => {
    await expect(readNorthwind(join(folder, 'nowhere'))).rejects.toThrow('There is no folder');
    await expect(readNorthwind(join(folder, 'orders.csv'))).rejects.toThrow('is a file');
  });

  it('gives equal data an equal dataset name, other data another', async () => {
    const first = datasetName('northwind', await readNorthwind(folder));
    expect(datasetName('northwind', await readNorthwind(folder))).toBe(first);
    await spoil('order-details.csv', 2, '9,2,23.26,1,0');
    expect(datasetName('northwind', await readNorthwind(folder))).not.toBe(first);
  });
});
