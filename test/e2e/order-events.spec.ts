import { randomBytes } from 'node:crypto';
import request from 'supertest';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { describeWith, type Service } from '../support/requirement.js';
import { TraceCollector } from '../support/trace-collector.js';
import { until } from '../support/until.js';
import { expectFault, SampleProcess } from './sample.process.js';

interface OfOrder {
  readonly orderId: string;
}

/** The sample's story on one broker, then an order of our own, then Ctrl-C. */
function story(broker: string): void {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createDatabase();
  });
  afterAll(async () => {
    SampleProcess.killAll();
    await database.drop();
  });

  it('bills each completed order once and writes two mails for it, though its event comes twice', async () => {
    const sample = new SampleProcess('events', [], { DATABASE_URL: database.url, SAGAZ_BROKER: broker });
    const [, orders = ''] = await sample.prints(/curl -X POST (http:\S+)\/orders /);
    const [, billing = ''] = await sample.prints(/curl (http:\S+)\/bills/);
    const [, mail = ''] = await sample.prints(/curl (http:\S+)\/mails/);
    expect(sample.stdout).toContain('4 orders, 3 completed: 3 bills, 6 mails, none of them twice.');
    expect(sample.stdout).toContain("orders   Cy's order is refused");

    const eve = { customer: 'Eve', amount: 1_000 };
    const { orderId } = (await request(orders).post('/orders').send(eve).expect(201)).body as OfOrder;
    const rows = async (url: string, path: string) => {
      const all = (await request(url).get(path).expect(200)).body as OfOrder[];
      return all.filter((row) => row.orderId === orderId).length;
    };
    await until(async () => (await rows(mail, '/mails')) === 2);
    expect(await rows(billing, '/bills')).toBe(1);
    await request(orders).post('/orders').send({ customer: '', amount: 0 }).expect(400);

    const metrics = async (url: string) => (await request(url).get('/metrics').expect(200)).text;
    expect(await metrics(orders)).toMatch(/^sagaz_sagas_ended_total\{saga="order",status="completed"} \d/m);
    for (const [consumer, url] of Object.entries({ billing, mail }))
      expect(await metrics(url)).toMatch(
        new RegExp(`^sagaz_inbox_messages_total\\{consumer="${consumer}",result="duplicate"} \\d`, 'm'),
      );

    sample.kill('SIGINT');
    const { code, stderr } = await sample.ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  }, 60_000);
}

/** The spans of one order, and of its caller's trace. */
function trace(broker: string, service: (name: string) => string): void {
  const collector = new TraceCollector();
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createDatabase();
  });
  afterAll(async () => {
    SampleProcess.killAll();
    await collector.stop();
    await database.drop();
  });

  it('sends its spans: an order, its events and their consumers are in the trace of the request', async () => {
    const sample = new SampleProcess('events', [], {
      ...{ DATABASE_URL: database.url, SAGAZ_BROKER: broker },
      OTEL_EXPORTER_OTLP_ENDPOINT: await collector.start(),
    });
    const [, orders = ''] = await sample.prints(/curl -X POST (http:\S+)\/orders /);
    const traceId = randomBytes(16).toString('hex');
    const caller = { traceparent: `00-${traceId}-${randomBytes(8).toString('hex')}-01` };
    const eve = { customer: 'Eve', amount: 1_000 };
    await request(orders).post('/orders').set(caller).send(eve).expect(201);
    for (const mail of ['thank you for your order', 'here is bill'])
      await sample.prints(new RegExp(`Eve, ${mail}`));
    // Ctrl-C sends what has not been sent yet.
    sample.kill('SIGINT');
    const { code, stderr } = await sample.ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });

    const published = 'POST /orders > saga order > step complete > outbox publish';
    const expected = [
      [service('orders'), 'POST /orders'],
      [service('orders'), 'POST /orders > saga order'],
      [service('orders'), 'POST /orders > saga order > step place'],
      [service('orders'), 'POST /orders > saga order > step checkCredit'],
      [service('orders'), 'POST /orders > saga order > step complete'],
      [service('orders'), published],
      [service('billing'), `${published} > inbox process`],
      [service('billing'), `${published} > inbox process > outbox publish`],
      [service('mail'), `${published} > inbox process > outbox publish > inbox process`],
      [service('mail'), `${published} > inbox process`],
    ];
    expect(collector.paths(traceId)).toEqual(expected.map((span) => span.join(': ')).toSorted());
  }, 60_000);
}

describeWith('postgres', 'sample 02-order-events: npm run sample:events', () => {
  describe('in memory', () => story('memory'));
  for (const broker of ['rabbitmq', 'kafka', 'redis'] satisfies Service[])
    describeWith(broker, `on ${broker}`, () => story(broker));

  describe('in one process, traced', () => trace('memory', () => 'orders-billing-mail'));
  describeWith('rabbitmq', 'in three processes, traced', () => trace('rabbitmq', (name) => name));

  it('names every variable that is wrong, and shows none', async () => {
    const env = { DATABASE_URL: 'mysql://me:hunter2@host', SAGAZ_BROKER: 'rabbit', PORT: '70000' };
    const ended = await new SampleProcess('events', [], env).ended;
    expectFault(ended, 1, /DATABASE_URL: .*\n?.*SAGAZ_BROKER: .*\n.*PORT: /);
    expect(ended.stderr).not.toContain('hunter2');
  });
});
