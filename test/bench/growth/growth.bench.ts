import { atLeast, atMost, type Bench, type BenchSettings, type Figure } from '../bench.js';
import { aboutServer, benchDatabase, benchServer } from '../database.js';
import { interleaved } from '../interleaved.js';
import { DurableSagas } from '../sagas/durable-sagas.js';
import { Claims } from './claims.js';
import { fillTables } from './full-tables.js';

const MANY = 200;
const FULL = { finished: 1_000_000, waiting: 100_000 };
const QUICK = { finished: 2_000, waiting: 200 };

export const growthBench: Bench = {
  name: 'growth',
  about: 'sagas and claims beside a million finished and 100,000 waiting sagas, and in empty tables',
  async run(settings: BenchSettings): Promise<readonly Figure[]> {
    const server = await benchServer();
    const closing: (() => Promise<unknown>)[] = [() => server.stop()];
    const open = async () => {
      const database = await benchDatabase(server.url);
      closing.push(() => database.drop());
      const sagas = await DurableSagas.open(database.url);
      closing.push(() => sagas.close());
      return { sagas, url: database.url };
    };
    try {
      settings.tell(await aboutServer(server.url));
      const [empty, full] = [await open(), await open()];
      settings.tell('filling the tables');
      await fillTables(full.url, settings.quick ? QUICK : FULL);
      const claims = await Claims.open(full.url);
      closing.push(() => claims.close());
      const idle = await claims.times(settings.quick ? 20 : 500);
      settings.tell(`\n${await claims.plan()}\n`);
      const rates = await interleaved(
        {
          empty200: (ms) => empty.sagas.rate({ atOnce: MANY, ms }),
          full200: (ms) => full.sagas.rate({ atOnce: MANY, ms }),
        },
        settings,
      );
      return figuresOf(rates, idle);
    } finally {
      for (const close of closing.reverse()) await close();
    }
  },
};

function figuresOf(
  { empty200, full200 }: Readonly<Record<'empty200' | 'full200', number>>,
  claims: readonly number[],
): Figure[] {
  return [
    { field: 'empty200', value: empty200, unit: 'sagas/s' },
    { field: 'full200', value: full200, unit: 'sagas/s' },
    { field: 'ratioToEmpty', value: full200 / empty200, unit: '', bar: atLeast(0.9) },
    { field: 'claimP50Ms', value: claims[claims.length >> 1] ?? NaN, unit: 'ms' },
    {
      field: 'claimP99Ms',
      value: claims[Math.floor(claims.length * 0.99)] ?? NaN,
      unit: 'ms',
      bar: atMost(5),
    },
  ];
}
