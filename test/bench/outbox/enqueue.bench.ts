import pg from 'pg';
import type { Bench, BenchSettings, Figure } from '../bench.js';
import { aboutServer, benchDatabase, benchServer } from '../database.js';
import { interleaved } from '../interleaved.js';
import { openWriter, type Writer } from '../library.js';
import { rateOf } from '../load.js';

const AT_ONCE = 8;

export const enqueueBench: Bench = {
  name: 'enqueue',
  about: 'a business transaction with and without one event',
  async run(settings: BenchSettings): Promise<readonly Figure[]> {
    const server = await benchServer();
    const database = await benchDatabase(server.url);
    const writer = await openWriter(database.url);
    try {
      settings.tell(await aboutServer(server.url));
      const client = new pg.Client(database.url);
      await client.connect();
      await client.query('CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL)');
      await client.query('INSERT INTO account SELECT n, 0 FROM generate_series(0, 9999) AS n');
      await client.query(
        'CREATE TABLE purchase (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account int, amount int)',
      );
      await client.end();
      const rates = await interleaved(
        {
          business: (ms) => rateOf(() => business(writer, false), { atOnce: AT_ONCE, ms }),
          withEvent: (ms) => rateOf(() => business(writer, true), { atOnce: AT_ONCE, ms }),
        },
        settings,
      );
      return [
        { field: 'business', value: rates.business, unit: 'tx/s' },
        { field: 'withEvent', value: rates.withEvent, unit: 'tx/s' },
        { field: 'ratio', value: rates.withEvent / rates.business, unit: '' },
      ];
    } finally {
      await writer.close();
      await database.drop();
      await server.stop();
    }
  },
};

async function business(writer: Writer, withEvent: boolean): Promise<void> {
  const account = Math.floor(Math.random() * 10_000);
  await writer.transaction(async (publish, query) => {
    await query('UPDATE account SET balance = balance + 1 WHERE id = $1', [account]);
    await query('INSERT INTO purchase (account, amount) VALUES ($1, 1)', [account]);
    if (withEvent)
      await publish({ type: 'purchase.made', key: String(account), payload: { account, amount: 1 } });
  });
}
