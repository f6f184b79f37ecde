import pg from 'pg';
import { internals } from '../library.js';

/** Claims of a worker that finds nothing to do, which is what each process asks for once a second. */
export class Claims {
  private constructor(
    private readonly client: pg.Client,
    private readonly text: string,
  ) {}

  static async open(url: string): Promise<Claims> {
    const { claimSql, tablesOf } = await internals();
    const client = new pg.Client(url);
    await client.connect();
    return new Claims(client, claimSql(tablesOf('public')));
  }

  /** @returns the milliseconds that each took, sorted */
  async times(count: number): Promise<readonly number[]> {
    const times: number[] = [];
    for (let n = 0; n < count; n++) {
      const start = performance.now();
      const { rowCount } = await this.client.query(this.text, VALUES);
      times.push(performance.now() - start);
      if (rowCount !== 0) throw new Error('a claim found a saga that nobody should run');
    }
    return times.sort((a, b) => a - b);
  }

  /** What the server does for one claim. */
  async plan(): Promise<string> {
    const explain = `EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) ${this.text}`;
    const { rows } = await this.client.query<{ 'QUERY PLAN': string }>(explain, VALUES);
    return rows.map((row) => row['QUERY PLAN']).join('\n');
  }

  close(): Promise<void> {
    return this.client.end();
  }
}

const VALUES = ['nobody', ['order'], [1], [], 200, null, [], [null]];
