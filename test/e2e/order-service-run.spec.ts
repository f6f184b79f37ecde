import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { describeWith } from '../support/requirement.js';
import { expectedFigures, type Figures, INITIAL_STOCK, writeData } from './order-service.data.js';
import { expectFault, expectSuccess, SampleProcess } from './sample.process.js';

const NORTHWIND = '../shared/data/northwind';
/** Nothing listens there: a run that gets as far as the database ends with another message. */
const NO_DATABASE = 'postgres://nobody@127.0.0.1:1/nowhere';

describeWith('postgres', 'sample 01-order-service: npm run sample:orders', () => {
  let database: TestDatabase;
  let folder: string;
  let sql: pg.Client;

  beforeAll(async () => {
    [database, folder] = await Promise.all([createDatabase(), mkdtemp(join(tmpdir(), 'order-service-'))]);
    sql = new pg.Client(database.url);
    await sql.connect();
  });

  afterAll(async () => {
    SampleProcess.killAll();
    await sql.end();
    await Promise.all([database.drop(), rm(folder, { recursive: true, force: true })]);
  });

  const orders = (...args: string[]) => new SampleProcess('orders', args, { DATABASE_URL: database.url });

  /** A data folder of its own and where its summary goes; other counts are other datasets in the same database. */
  const prepare = async (count: number) => {
    const data = join(folder, `data-${count}`);
    await writeData(data, count);
    return {
      args: ['--data', data, '--json', join(folder, `${count}.json`)],
      json: join(folder, `${count}.json`),
    };
  };

  const figures = async (json: string): Promise<Figures> => {
    const { seconds, ...rest } = JSON.parse(await readFile(json, 'utf8')) as Figures & { seconds: number };
    expect(seconds).toBeGreaterThan(0);
    return rest;
  };

  it('ends with the same figures at every start', async () => {
    const { args, json } = await prepare(80);
    const first = await orders(...args).ended;
    expectSuccess(first);
    expect(await figures(json)).toEqual(expectedFigures(80));
    expect(Object.values(expectedFigures(80)).every((figure) => figure > 0)).toBe(true);
    expect(first.stdout).toMatch(/^ {2}completed +\d+$/m);
    expectSuccess(await orders(...args).ended);
    expect(await figures(json)).toEqual(expectedFigures(80));
  });

  it('makes its own orders without --data', async () => {
    const json = join(folder, 'seeded.json');
    expectSuccess(await orders('--json', json).ended);
    const {
      orders: all,
      completed,
      outOfStock,
      creditRefused,
      carrierRefused,
      published,
    } = await figures(json);
    expect(completed + outOfStock + creditRefused + carrierRefused).toBe(all);
    expect(published).toBe(completed);
  });

  it('loses no order and does none twice when it is killed half way', async () => {
    const { args, json } = await prepare(160);
    const killed = orders(...args);
    await killed.prints(/orders: [3-5]\d of 160/);
    killed.kill('SIGKILL');
    await killed.ended;
    const second = await orders(...args).ended;
    expectSuccess(second);
    expect(second.stderr).toMatch(/continuing: \d+ orders were finished before/);
    expect(await figures(json)).toEqual(expectedFigures(160));
  });

  it('ends in order on SIGINT, and the same command continues', async () => {
    const { args, json } = await prepare(140);
    const stopped = orders(...args);
    await stopped.prints(/orders: \d+ of 140/);
    stopped.kill('SIGINT');
    expectFault(await stopped.ended, 130, /stopped: \d+ orders are left/);
    expectSuccess(await orders(...args).ended);
    expect(await figures(json)).toEqual(expectedFigures(140));
  });

  it('balances stock, money and events with 16 at once, also after a kill', async () => {
    const { args, json } = await prepare(150);
    const killed = orders(...args, '--concurrency', '16');
    await killed.prints(/orders: \d\d of 150/);
    killed.kill('SIGKILL');
    await killed.ended;
    const last = await orders(...args, '--concurrency', '16').ended;
    expectSuccess(last);
    const dataset = /dataset (\S+),/.exec(last.stderr)![1];
    const { rows } = await sql.query<{ sold: string; revenue: string; charged: string; paid: string }>(
      `SELECT (SELECT sum(quantity) FROM shop_reservation WHERE dataset = $1) AS sold,
              (SELECT sum(total) FROM shop_order WHERE dataset = $1 AND state = 'completed') AS revenue,
              (SELECT sum(amount) FROM shop_charge WHERE dataset = $1) AS charged,
              (SELECT sum(10000 - credit) FROM shop_customer WHERE dataset = $1) AS paid`,
      [dataset],
    );
    const { sold, revenue, charged, paid } = rows[0]!;
    const summary = await figures(json);
    expect(summary.stockLeft).toBe(INITIAL_STOCK - Number(sold));
    expect(summary.revenue).toBe(Number(revenue));
    expect([charged, paid]).toEqual([revenue, revenue]);
    expect(summary.published).toBe(summary.completed);
    expect(summary.completed + summary.outOfStock + summary.creditRefused + summary.carrierRefused).toBe(150);
  });

  it.each<[string, string[], number, RegExp]>([
    ['an unknown option', ['--dta', 'x'], 2, /^Unknown option --dta\.\n\nUsage: /],
    [
      'a wrong value',
      ['--concurrency', '0'],
      2,
      /^Option --concurrency must be a whole number from 1 on, got "0"\.\n\nUsage: /,
    ],
    ['a missing folder', ['--data', 'no/such/folder'], 1, /^There is no folder \/.*; --data names .*\n$/],
    ['a folder without the files', ['--data', 'test'], 1, /^products\.csv: is missing: there is no .*\n$/],
  ])('refuses %s with one message', async (_case, args, code, message) => {
    const run = new SampleProcess('orders', args, { DATABASE_URL: NO_DATABASE });
    expectFault(await run.ended, code, message);
  });

  it('refuses a malformed line before anything is written', async () => {
    const { args, json } = await prepare(30);
    const details = join(folder, 'data-30', 'order-details.csv');
    const lines = (await readFile(details, 'utf8')).split('\n');
    await writeFile(details, lines.with(4, lines[4]!.replace(/,\d+\.\d+,/, ',cheap,')).join('\n'));
    const run = new SampleProcess('orders', args, { DATABASE_URL: NO_DATABASE });
    expectFault(
      await run.ended,
      1,
      /^order-details\.csv, line 5, column unitPrice: must be a number .*, got "cheap"\n$/,
    );
    expect(existsSync(json)).toBe(false);
  });

  it('says how to get a database when it was told of none', async () => {
    const run = new SampleProcess('orders', [], { DATABASE_URL: '' });
    expectFault(await run.ended, 1, /^DATABASE_URL is not set\. .*npm start.*\n$/);
  });

  const [northwind, need] = existsSync(NORTHWIND) ? [it, ''] : [it.skip, ` (needs the folder ${NORTHWIND})`];
  northwind(
    `works through Northwind${need}`,
    async () => {
      const json = join(folder, 'northwind.json');
      expectSuccess(await orders('--data', NORTHWIND, '--json', json).ended);
      expect(await figures(json)).toEqual({
        ...{ orders: 830, completed: 424, outOfStock: 336, creditRefused: 65, carrierRefused: 5 },
        ...{ stockLeft: 43_677, revenue: 400_231.88, published: 424 },
      });
      expect(await readFile(json, 'utf8')).toContain('"revenue": 400231.88,');
    },
    180_000,
  );
});
