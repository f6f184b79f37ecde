import pg from 'pg';
import request from 'supertest';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { describeWith } from '../support/requirement.js';
import { expectFault, SampleProcess } from './sample.process.js';

describeWith('postgres', 'sample 01-order-service: npm start', () => {
  let database: TestDatabase;
  let sql: pg.Client;
  let sample: SampleProcess;
  let url: string;

  beforeAll(async () => {
    database = await createDatabase();
    sql = new pg.Client(database.url);
    await sql.connect();
    sample = new SampleProcess('main', [], { DATABASE_URL: database.url });
    url = (await sample.prints(/Listening on (http:\S+), /))[1]!;
  });

  afterAll(async () => {
    SampleProcess.killAll();
    await sql.end();
    await database.drop();
  });

  const order = (changes: object = {}) => ({
    customerId: 'ADA',
    shippedDate: '2026-12-24',
    lines: [{ productId: 1, quantity: 2, discount: 0.25 }],
    ...changes,
  });
  const post = (body: object) => request(url).post('/orders').send(body);
  const stockOf = async (productId: number) => {
    const { body } = (await request(url).get('/stock').expect(200)) as {
      body: { productId: number; stock: number }[];
    };
    return body.find((product) => product.productId === productId)!.stock;
  };

  it('tells what happened to its own orders', () => {
    const lines = sample.stdout.split('\n').map((line) => line.trim());
    expect(lines.filter((line) => line.startsWith('order '))).toEqual([
      'order 1  ADA     73.00  reserve ✓  charge ✓  ship ✓  notify ✓  → completed',
      'order 2  BEN    449.00  reserve ✓  charge ✓  ship ✓  notify ✓  → completed',
      expect.stringMatching(/^order 3 {2}ADA {3}1040.00 {2}reserve ✗ {2}→ outOfStock \(product 2: /),
      expect.stringMatching(/^order 4 .* reserve ✓ {2}charge ✗ {2}↩ release {2}→ creditRefused /),
      expect.stringMatching(
        /^order 5 .* reserve ✓ {2}charge ✓ {2}ship ✗ {2}↩ refund {2}↩ release {2}→ carrierRefused .*422/,
      ),
      'order 6  ADA    907.50  reserve ✓  charge ✓  ship ✓  notify ✓  → completed',
    ]);
    expect(lines).toContain('3 of 3 order.completed events went through the outbox to their handler');
  });

  it('takes an order over HTTP', async () => {
    const before = await stockOf(1);
    const { body } = (await post(order()).expect(201)) as { body: { orderId: string } };
    expect(body).toMatchObject({ customerId: 'ADA', total: '27.00', state: 'completed', reason: null });
    const found = await request(url).get(`/orders/${body.orderId}`).expect(200);
    expect(found.body).toEqual(body);
    expect(await stockOf(1)).toBe(before - 2);
  });

  it('answers a repeated order with the first one, and refuses another under its id', async () => {
    const first = await post(order({ orderId: 'mine' })).expect(201);
    const before = await stockOf(1);
    const again = await post(order({ orderId: 'mine' })).expect(201);
    expect(again.body).toEqual(first.body);
    expect(await stockOf(1)).toBe(before);
    await post(order({ orderId: 'mine', customerId: 'BEN' })).expect(409);
  });

  it('undoes an order that the carrier refuses', async () => {
    const before = await stockOf(1);
    const answer = await post(order({ shippedDate: null })).expect(201);
    expect(answer.body).toMatchObject({ state: 'carrierRefused', failedStep: 'ship' });
    expect(await stockOf(1)).toBe(before);
  });

  it.each([
    ['customerId must be', { customerId: 7 }],
    ['shippedDate must be a date', { shippedDate: 'soon' }],
    ['lines.0.quantity must not be less than 1', { lines: [{ productId: 1, quantity: 0 }] }],
    ['lines.0.discount must not be greater than 1', { lines: [{ productId: 1, quantity: 1, discount: 2 }] }],
    ['lines must contain at least 1 elements', { lines: [] }],
    ['property price should not exist', { price: 1 }],
    ['customerId: there is no customer NOBODY', { customerId: 'NOBODY' }],
    [
      'lines.1.productId: there is no product 99',
      { lines: [1, 99].map((productId) => ({ productId, quantity: 1 })) },
    ],
  ])('answers 400 "%s", and nothing is written', async (message, changes) => {
    const count = async () =>
      (await sql.query<{ n: string }>('SELECT count(*) AS n FROM shop_order')).rows[0]!.n;
    const before = await count();
    const { body } = (await post(order(changes)).expect(400)) as { body: { message: string[] } };
    expect(body.message).toEqual(expect.arrayContaining([expect.stringContaining(message)]));
    expect(await count()).toBe(before);
  });

  it('answers 404 for an order that is not there', async () => {
    await request(url).get('/orders/none').expect(404);
  });

  it('has metrics', async () => {
    const { text } = await request(url).get('/metrics').expect(200);
    expect(text).toMatch(/^shop_orders_settled_total\{state="outOfStock"\} 1$/m);
    expect(text).toContain('process_cpu_seconds_total');
  });

  it('says so when its port is taken', async () => {
    const second = new SampleProcess('main', [], { DATABASE_URL: database.url, PORT: new URL(url).port });
    expectFault(await second.ended, 1, /^Port \d+ is in use.*npm start\n$/);
  });

  it('ends on SIGTERM', async () => {
    sample.kill('SIGTERM');
    expect((await sample.ended).code).toBe(0);
  });
});
