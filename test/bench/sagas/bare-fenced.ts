import pg from 'pg';
import { internals } from '../library.js';
import { rateOf, type Load } from '../load.js';

interface Write {
  readonly id: string;
  /** 0 for the start of a saga. */
  readonly seq: number;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

interface Stored {
  readonly saga_id: string;
  readonly seq: number;
}

const STEPS = 3;
const INPUT = JSON.stringify({ orderId: 'A-1', amount: 12 });
const TABLES = `
CREATE TABLE instance (id uuid PRIMARY KEY, name text NOT NULL, status text NOT NULL, epoch bigint NOT NULL, owner text,
  started_at timestamptz NOT NULL DEFAULT clock_timestamp()) WITH (fillfactor = 70);
CREATE INDEX ON instance (owner, id) WHERE status = 'running';
CREATE TABLE payload (saga_id uuid PRIMARY KEY, input text NOT NULL);
CREATE TABLE journal (saga_id uuid, seq int, epoch bigint NOT NULL, kind text NOT NULL, data text,
  at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (saga_id, seq))`;
const FLUSH = `
WITH w AS (SELECT * FROM unnest($1::uuid[], $2::int[], $3::bigint[]) AS w (id, seq, epoch)),
held AS MATERIALIZED (SELECT id, epoch FROM instance WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED),
facts AS (INSERT INTO journal (saga_id, seq, epoch, kind) SELECT w.id, w.seq, w.epoch, 'step_completed'
  FROM w JOIN held h ON h.id = w.id AND h.epoch = w.epoch ON CONFLICT DO NOTHING RETURNING saga_id, seq),
ended AS (UPDATE instance SET status = 'completed', owner = NULL WHERE id = ANY($4::uuid[]) AND epoch = 1),
s AS MATERIALIZED (SELECT * FROM unnest($5::uuid[], $6::text[]) AS s (id, input)),
started AS (INSERT INTO instance (id, name, status, epoch, owner) SELECT id, 'order', 'running', 1, 'bare' FROM s),
inputs AS (INSERT INTO payload SELECT id, input FROM s)
SELECT saga_id, seq FROM facts`;

/**
 * The same durable writes without the library: a row and an input for each saga, an entry for each step under a fence,
 * the last one with the saga's end; all that is asked for while a flush is under way goes out with the next one. Each
 * step learns whether its own entry is stored, and ids are the library's, which sort by age.
 */
export class BareFenced {
  private queue: Write[] = [];
  private flushing = false;

  private constructor(
    private readonly client: pg.Client,
    private readonly newId: () => string,
  ) {}

  static async open(url: string): Promise<BareFenced> {
    const client = new pg.Client(url);
    await client.connect();
    await client.query(TABLES);
    // As the library does: a plan made for empty tables must not scan them when they are full.
    await client.query('SET enable_seqscan = off');
    const { uuidV7 } = await internals();
    return new BareFenced(client, uuidV7);
  }

  rate(load: Load): Promise<number> {
    return rateOf(async () => {
      const id = this.newId();
      for (let seq = 0; seq <= STEPS; seq++) await this.write(id, seq);
    }, load);
  }

  close(): Promise<void> {
    return this.client.end();
  }

  private write(id: string, seq: number): Promise<void> {
    return new Promise((done, failed) => {
      this.queue.push({ id, seq, done, failed });
      if (this.flushing) return;
      this.flushing = true;
      setImmediate(() => void this.flush());
    });
  }

  private async flush(): Promise<void> {
    const batch = this.queue;
    this.queue = [];
    try {
      const starts = batch.filter(({ seq }) => seq === 0).map(({ id }) => id);
      const facts = batch.filter(({ seq }) => seq > 0);
      const ended = facts.filter(({ seq }) => seq === STEPS).map(({ id }) => id);
      const entries = [facts.map(({ id }) => id), facts.map(({ seq }) => seq), facts.map(() => 1)];
      const values = [...entries, ended, starts, starts.map(() => INPUT)];
      const { rows } = await this.client.query<Stored>({ name: 'flush', text: FLUSH, values });
      const stored = new Set(rows.map(({ saga_id, seq }) => `${saga_id}/${seq}`));
      for (const { id, seq, done, failed } of batch) {
        if (seq === 0 || stored.has(`${id}/${seq}`)) done();
        else failed(new Error(`entry ${seq} of ${id} was not stored`));
      }
    } catch (error) {
      for (const { failed } of batch) failed(error);
    }
    if (this.queue.length > 0) setImmediate(() => void this.flush());
    else this.flushing = false;
  }
}
