import pg from 'pg';
import { callsIn, effectsIn, type Call, type Effect } from './ledger.js';
import type { JournalRow, SagaRecord } from './oracle/saga-record.js';
import type { Scenario } from './scenarios.js';

interface SagaRow {
  readonly id: string;
  readonly status: string;
  readonly error: string | null;
  readonly launch: readonly string[];
  readonly case: string;
}

/** What the databases hold of every saga, by the id of its case. */
export async function recordsOf(
  url: string,
  ledgerUrl: string,
  scenarioOf: (caseId: string) => Scenario,
): Promise<ReadonlyMap<string, readonly (SagaRecord & { readonly sagaId: string })[]>> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    const sagas = await client.query<SagaRow>(
      `SELECT i.id, i.status, i.launch, p.error, i.tags->>'case' AS case FROM saga_instance i JOIN saga_payload p ON p.saga_id = i.id`,
    );
    const journal = await client.query<JournalRow & { saga: string }>(
      `SELECT saga_id AS saga, seq, epoch::int, kind, step, launch, (extract(epoch FROM at) * 1000)::float8 AS at,
         CASE WHEN kind LIKE '%failed' OR kind = 'compensating' THEN data END AS data
       FROM saga_journal ORDER BY saga_id, seq`,
    );
    const events = await client.query<{ saga: string; type: string }>(
      `SELECT headers::json->>'sagaId' AS saga, type FROM saga_outbox`,
    );
    const effects = [...(await effectsIn(url)), ...(await effectsIn(ledgerUrl))].sort((a, b) => a.at - b.at);
    const calls = grouped<Call>(await callsIn(ledgerUrl), ({ saga }) => saga);
    const journals = grouped(journal.rows, ({ saga }) => saga);
    const published = grouped(events.rows, ({ saga }) => saga);
    const done = grouped<Effect>(effects, ({ saga }) => saga);
    const records = sagas.rows.map((row) => ({
      ...{
        caseId: row.case,
        sagaId: row.id,
        scenario: scenarioOf(row.case),
        status: row.status,
        error: row.error,
        launch: row.launch,
      },
      journal: journals.get(row.id) ?? [],
      effects: done.get(row.id) ?? [],
      calls: calls.get(row.id) ?? [],
      events: (published.get(row.id) ?? []).map(({ type }) => type),
    }));
    return grouped(records, ({ caseId }) => caseId);
  } finally {
    await client.end();
  }
}

/** How many sagas have not ended. */
export async function unfinished(url: string): Promise<number> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    const { rows } = await client.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM saga_instance WHERE status IN ('pending', 'running', 'compensating', 'waiting')`,
    );
    return rows[0]?.count ?? 0;
  } finally {
    await client.end();
  }
}

function grouped<T>(rows: readonly T[], keyOf: (row: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const row of rows) {
    const key = keyOf(row);
    const group = groups.get(key);
    if (group) group.push(row);
    else groups.set(key, [row]);
  }
  return groups;
}
