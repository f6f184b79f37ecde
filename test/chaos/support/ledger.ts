import pg from 'pg';
import type { ProbeResult } from '../../../lib/index.js';

/** One real effect. */
export interface Effect {
  readonly saga: string;
  readonly step: string;
  readonly kind: 'action' | 'undo';
  readonly key: string;
  readonly epoch: number;
  /** Milliseconds, by the clock of the server that both databases share. */
  readonly at: number;
}

export const EFFECT_TABLE = `CREATE TABLE IF NOT EXISTS effect (
  saga uuid NOT NULL, step text NOT NULL, kind text NOT NULL, key text NOT NULL, epoch integer NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp())`;

const INSERT = 'INSERT INTO effect (saga, step, kind, key, epoch) VALUES ($1, $2, $3, $4, $5)';

/** What a handler knows of itself. */
export interface Doing {
  readonly sagaId: string;
  readonly step: string;
  readonly phase: 'action' | 'undo';
  readonly idempotencyKey: string;
  readonly fencingToken: number;
}

/** The statement that notes an effect. */
export function noting({ sagaId, step, phase, idempotencyKey, fencingToken }: Doing): [string, unknown[]] {
  return [INSERT, [sagaId, step, phase, idempotencyKey, fencingToken]];
}

/** The effects of ordinary steps, in a database of their own: whatever happens to the main one, they have happened. */
export class Ledger {
  private readonly pool: pg.Pool;

  constructor(url: string) {
    this.pool = new pg.Pool({ connectionString: url, max: 3 });
    this.pool.on('error', () => undefined);
  }

  async note(doing: Doing): Promise<void> {
    await this.pool.query(...noting(doing));
  }

  /** What became of an action, as its participant knows it. */
  async probe(sagaId: string, step: string): Promise<ProbeResult<string>> {
    const found = await this.pool.query('SELECT FROM effect WHERE saga = $1 AND step = $2', [sagaId, step]);
    return found.rowCount === 0 ? { outcome: 'failed' } : { outcome: 'completed', result: step };
  }

  close(): Promise<void> {
    return this.pool.end();
  }
}

/** Every effect in a database. */
export async function effectsIn(url: string): Promise<readonly Effect[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    const { rows } = await client.query<Effect>(
      'SELECT saga, step, kind, key, epoch, (extract(epoch FROM at) * 1000)::float8 AS at FROM effect ORDER BY at',
    );
    return rows;
  } finally {
    await client.end();
  }
}
