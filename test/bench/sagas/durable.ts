import pg from 'pg';
import { atLeast, atMost, type BenchSettings, type Figure } from '../bench.js';
import { aboutServer, benchDatabase, benchServer, type BenchDatabase } from '../database.js';
import { interleaved, type Contender } from '../interleaved.js';
import { installPeers, Peer } from '../peers.js';
import { BareFenced } from './bare-fenced.js';
import { DurableSagas } from './durable-sagas.js';
import { HandWatchedSagas } from './hand-watched.js';

const MANY = 200;
/** The pool of DBOS at which it was fastest here (of 10, 20 and 50). */
const DBOS_POOL = 20;

/** Sagas on PostgreSQL, beside the same writes without the library, the library without group commit, and DBOS. */
export async function durableFigures(settings: BenchSettings): Promise<readonly Figure[]> {
  const server = await benchServer();
  const closing: (() => Promise<unknown>)[] = [() => server.stop()];
  const database = async (): Promise<BenchDatabase> => {
    const made = await benchDatabase(server.url);
    closing.push(() => made.drop());
    return made;
  };
  const keep = <T extends { close(): Promise<unknown> }>(it: T): T => {
    closing.push(() => it.close());
    return it;
  };
  try {
    settings.tell(await aboutServer(server.url));
    const sagas = keep(await DurableSagas.open((await database()).url));
    const ungrouped = keep(await DurableSagas.open((await database()).url, { groupCommit: false }));
    const bare = keep(await BareFenced.open((await database()).url));
    const byHand = keep(await HandWatchedSagas.open((await database()).url));
    const contenders: Record<string, Contender> = {
      c1: (ms) => sagas.rate({ atOnce: 1, ms }),
      c50: (ms) => sagas.rate({ atOnce: 50, ms }),
      c200: (ms) => sagas.rate({ atOnce: MANY, ms }),
      observed200: (ms) => sagas.observedRate({ atOnce: MANY, ms }),
      byHand200: (ms) => byHand.rate({ atOnce: MANY, ms }),
      ungrouped200: (ms) => ungrouped.rate({ atOnce: MANY, ms }),
      bareFenced200: (ms) => bare.rate({ atOnce: MANY, ms }),
    };
    if (!settings.quick) {
      await installPeers(settings.tell);
      const dbos = keep(await Peer.start('dbos.mjs', [(await database()).url, String(DBOS_POOL)]));
      contenders['dbosC200'] = (ms) => dbos.rate({ atOnce: MANY, ms });
    }
    const rates = await interleaved(contenders, settings);
    const steps = await stepOverhead(sagas, (await database()).url, settings);
    return [...ratesOf(rates), ...steps];
  } finally {
    for (const close of closing.reverse()) await close();
  }
}

function ratesOf(rates: Readonly<Record<string, number>>): Figure[] {
  const { c200 = NaN, observed200 = NaN, byHand200 = NaN, dbosC200 } = rates;
  const { ungrouped200 = NaN, bareFenced200 = NaN } = rates;
  const figures: Figure[] = Object.entries(rates).map(([field, value]) => ({
    field,
    value,
    unit: 'sagas/s',
  }));
  return [
    ...figures,
    { field: 'observedToC200', value: observed200 / c200, unit: '', bar: atLeast(0.8) },
    { field: 'byHandToC200', value: byHand200 / c200, unit: '' },
    { field: 'ratioToUngrouped', value: c200 / ungrouped200, unit: '', bar: atLeast(2.5) },
    { field: 'ratioToBareFenced', value: c200 / bareFenced200, unit: '', bar: atLeast(0.4) },
    ...(dbosC200 === undefined
      ? []
      : [{ field: 'ratioToDbos', value: c200 / dbosC200, unit: '', bar: atLeast(25) }]),
  ];
}

/** One saga at a time, in turn with single-row commits: both have what else the process does before them. */
async function stepOverhead(sagas: DurableSagas, url: string, { quick }: BenchSettings): Promise<Figure[]> {
  const client = new pg.Client(url);
  await client.connect();
  const commits: number[] = [];
  const bare = { name: 'bare', text: 'INSERT INTO bare VALUES ($1, $2)' };
  const gaps: number[] = [];
  sagas.gaps = gaps;
  try {
    await client.query('CREATE TABLE bare (n int NOT NULL, text text)');
    for (let n = 0; n < (quick ? 20 : 1_500); n++) {
      await sagas.execute();
      for (let commit = 0; commit < 2; commit++) {
        const start = performance.now();
        await client.query({ ...bare, values: [n, 'step_completed'] });
        commits.push(performance.now() - start);
      }
    }
  } finally {
    await client.end();
  }
  const [step, commit] = [middle(gaps), middle(commits)];
  return [
    { field: 'stepP50Ms', value: step, unit: 'ms' },
    { field: 'commitP50Ms', value: commit, unit: 'ms' },
    { field: 'stepToCommit', value: step / commit, unit: '', bar: atMost(1.5) },
  ];
}

function middle(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
}
