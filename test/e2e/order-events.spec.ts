import request from 'supertest';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { describeWith, type Service } from '../support/requirement.js';
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

    sample.kill('SIGINT');
    const { code, stderr } = await sample.ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  }, 60_000);
}

describeWith('postgres', 'sample 02-order-events: npm run sample:events', () => {
  describe('in memory', () => story('memory'));
  for (const broker of ['rabbitmq', 'kafka', 'redis'] satisfies Service[])
    describeWith(broker, `on ${broker}`, () => story(broker));

  it('names every variable that is wrong, and shows none', async () => {
    const env = { DATABASE_URL: 'mysql://me:hunter2@host', SAGAZ_BROKER: 'rabbit', PORT: '70000' };
    const ended = await new SampleProcess('events', [], env).ended;
    expectFault(ended, 1, /DATABASE_URL: .*\n?.*SAGAZ_BROKER: .*\n.*PORT: /);
    expect(ended.stderr).not.toContain('hunter2');
  });
});
