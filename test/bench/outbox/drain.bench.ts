import pg from 'pg';
import { atLeast, type Bench, type BenchSettings, type Figure } from '../bench.js';
import { aboutServer, benchDatabase, benchServer } from '../database.js';
import { migrate } from '../library.js';
import { median } from '../interleaved.js';
import { installPeers, Peer } from '../peers.js';
import { fillOutbox, type Backlog } from './backlog.js';
import { drainBare } from './bare-relay.js';
import { drainWithLibrary } from './own-relay.js';

const FULL = { events: 50_000, backlog: 1_000_000, rounds: 3 };
const QUICK = { events: 2_000, backlog: 4_000, rounds: 1 };

/** Somebody else's transaction that stays open all the while. */
type Held = 'reader' | 'writer';

/** Fills and drains once. @returns events per second */
type Run = () => Promise<number>;

export const drainBench: Bench = {
  name: 'outbox-drain',
  about: 'events that wait, to a broker that does nothing, beside the bare loop, graphile-worker and pg-boss',
  async run(settings: BenchSettings): Promise<readonly Figure[]> {
    const server = await benchServer();
    const closing: (() => Promise<unknown>)[] = [() => server.stop()];
    const database = async () => {
      const made = await benchDatabase(server.url);
      closing.push(() => made.drop());
      return made.url;
    };
    try {
      settings.tell(await aboutServer(server.url));
      const { events, backlog } = settings.quick ? QUICK : FULL;
      const url = await database();
      await migrate(url);
      const runs: Record<string, Run> = {
        ours: () => drained(url, { events }),
        bare: () => drained(url, { events }, { bare: true }),
        oneKey: () => drained(url, { events, keys: 1 }),
        clean1M: () => drained(url, { events: backlog }),
        heldReader: () => drained(url, { events: backlog }, { held: 'reader' }),
        heldWriter: () => drained(url, { events: backlog }, { held: 'writer' }),
      };
      if (!settings.quick) {
        await installPeers(settings.tell);
        for (const [field, program] of [
          ['graphile', 'graphile.mjs'],
          ['pgboss', 'pgboss.mjs'],
        ] as const) {
          const peer = await Peer.start(program, [await database()]);
          closing.push(() => peer.close());
          runs[field] = () => peer.rate({ events });
        }
      }
      return figuresOf(await inTurn(runs, settings));
    } finally {
      for (const close of closing.reverse()) await close();
    }
  },
};

async function drained(
  url: string,
  backlog: Backlog,
  { bare = false, held }: { readonly bare?: boolean; readonly held?: Held } = {},
): Promise<number> {
  const [client, other] = [new pg.Client(url), new pg.Client(url)];
  await Promise.all([client.connect(), other.connect()]);
  const left = async () => (await client.query('SELECT 1 FROM saga_outbox LIMIT 1')).rowCount !== 0;
  try {
    await client.query('TRUNCATE saga_outbox');
    if (held === 'writer')
      await other.query('BEGIN; CREATE TEMP TABLE held (n int); INSERT INTO held VALUES (1)');
    await fillOutbox(client, backlog);
    if (held === 'reader')
      await other.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM pg_class LIMIT 1');
    const start = performance.now();
    const end = bare ? await drainBare(url) : await drainWithLibrary(url, backlog.events, left);
    const rate = (backlog.events * 1_000) / (performance.now() - start);
    await end();
    if (await left()) throw new Error('events were left behind');
    return rate;
  } finally {
    await Promise.all([client.end(), other.end()]);
  }
}

/** One after the other, several times: what else the machine does hits each of them alike. @returns medians */
async function inTurn(
  runs: Readonly<Record<string, Run>>,
  { quick, progress }: BenchSettings,
): Promise<Readonly<Record<string, number>>> {
  const { rounds } = quick ? QUICK : FULL;
  const entries = Object.entries(runs);
  const rates = new Map<string, number[]>(entries.map(([name]) => [name, []]));
  progress.start(entries.length * rounds);
  for (let round = 1; round <= rounds; round++)
    for (const [name, run] of entries) {
      rates.get(name)?.push(await run());
      progress.step(`${name}, run ${round} of ${rounds}`);
    }
  progress.stop();
  return Object.fromEntries([...rates].map(([name, values]) => [name, median(values)]));
}

function figuresOf(rates: Readonly<Record<string, number>>): Figure[] {
  const { ours = NaN, bare = NaN, oneKey = NaN, clean1M = NaN, heldReader = NaN, heldWriter = NaN } = rates;
  const { graphile, pgboss } = rates;
  const figures = Object.entries(rates).map(([field, value]): Figure => ({ field, value, unit: 'events/s' }));
  const ratio = (field: string, value: number, bar: number): Figure => ({
    field,
    value,
    unit: '',
    bar: atLeast(bar),
  });
  return [
    ...figures,
    ratio('ratioToBare', ours / bare, 0.6),
    ratio('oneKeyToOurs', oneKey / ours, 0.5),
    ratio('readerToClean', heldReader / clean1M, 0.8),
    ratio('writerToClean', heldWriter / clean1M, 0.8),
    ...(graphile === undefined ? [] : [ratio('ratioToGraphile', ours / graphile, 2.5)]),
    ...(pgboss === undefined ? [] : [ratio('ratioToPgboss', ours / pgboss, 2.5)]),
  ];
}
