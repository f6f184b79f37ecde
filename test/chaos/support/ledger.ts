import pg from 'pg';
import type { ProbeResult } from '../../../lib/index.js';
import { poolOf } from '../../support/database.js';

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

/** One call of a handler, before it did anything. */
export interface Call extends Effect {
  readonly attempt: number;
}

export const EFFECT_TABLE = `CREATE TABLE IF NOT EXISTS effect (
  saga uuid NOT NULL, step text NOT NULL, kind text NOT NULL, key text NOT NULL, epoch integer NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp())`;

export const CALL_TABLE = `CREATE TABLE IF NOT EXISTS call (
  saga uuid NOT NULL, step text NOT NULL, kind text NOT NULL, key text NOT NULL, epoch integer NOT NULL,
  attempt integer NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp())`;

const CALL = 'INSERT INTO call (saga, step, kind, key, epoch, attempt) VALUES ($1, $2, $3, $4, $5, $6)';
const INSERT = 'INSERT INTO effect (saga, step, kind, key, epoch) VALUES ($1, $2, $3, $4, $5)';

/** What a handler knows of itself. */
export interface Doing {
  readonly sagaId: string;
  readonly step: string;
  readonly attempt: number;
  readonly phase: 'action' | 'undo';
  readonly idempotencyKey: string;
  readonly fencingToken: number;
}

/** The statement that notes an effect. */
export function noting({ sagaId, step, phase, idempotencyKey, fencingToken }: Doing): [string, unknown[]] {
  return [INSERT, [sagaId, step, phase, idempotencyKey, fencingToken]];
}

/**
 * The calls of all handlers and the effects of ordinary ones, each committed on its own, in a database of their own:
 * whatever happens to the main one, they have happened.
 */
export class Ledger {
  private readonly pool: pg.Pool;

  constructor(url: string) {
    this.pool = poolOf(url, 5);
  }

  /** To be awaited before the handler does anything. */
  async called(doing: Doing): Promise<void> {
    await this.pool.query(CALL, [...noting(doing)[1], doing.attempt]);
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

/** Every effect in a database, by time. */
export function effectsIn(url: string): Promise<readonly Effect[]> {
  return rowsOf<Effect>(url, `SELECT ${COLUMNS} FROM effect ORDER BY at`);
}

/** Every call, by time. */
export function callsIn(ledgerUrl: string): Promise<readonly Call[]> {
  return rowsOf<Call>(ledgerUrl, `SELECT ${COLUMNS}, attempt FROM call ORDER BY at`);
}

const COLUMNS = 'saga, step, kind, key, epoch, (extract(epoch FROM at) * 1000)::float8 AS at';

async function rowsOf<T extends pg.QueryResultRow>(url: string, query: string): Promise<readonly T[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query<T>(query)).rows;
  } finally {
    await client.end();
  }
}
