import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { InMemoryBroker } from '../../../lib/brokers/memory/in-memory-broker.js';
import type { PublishItem, PublishOutcome } from '../../../lib/events/publish.js';
import { SagazTelemetry } from '../../../lib/runtime/telemetry.js';
import { poolOf } from '../../support/database.js';
import { startSagaProcess } from '../../support/saga-process.js';

const OK: PublishOutcome = { status: 'ok' };
/** Type of an event that kills its publisher. */
const KILLER = 'killer';
/** Of a batch: some events are refused for now, as by a broker that is busy. */
const REFUSED = Number(process.env['CHAOS_REFUSED'] ?? 0.02);
/** How long it takes over a batch. */
const PACE_MS = Number(process.env['CHAOS_PACE'] ?? 0);

/** Takes events by writing them down, in the order in which it was given them. */
class LedgerBroker extends InMemoryBroker {
  constructor(private readonly ledger: pg.Pool) {
    super();
  }

  override async publish(batch: readonly PublishItem[]): Promise<readonly PublishOutcome[]> {
    // As an event does that makes a client run out of memory.
    if (batch.some(({ type }) => type === KILLER)) process.kill(process.pid, 'SIGKILL');
    // As a broker that keeps order: what it refuses holds back later events of its key.
    const held = new Set<string>();
    const outcomes = batch.map(({ key }): PublishOutcome => {
      if (Math.random() < REFUSED) held.add(key);
      return held.has(key) ? { status: 'retryable', reason: 'busy' } : OK;
    });
    const taken = batch.filter((_, index) => outcomes[index] === OK);
    await sleep(PACE_MS);
    await this.ledger.query(
      `INSERT INTO delivery (event_id, key, n, worker)
       SELECT * FROM unnest($1::uuid[], $2::text[], $3::int[], $4::text[])`,
      [
        taken.map(({ eventId }) => eventId),
        taken.map(({ key }) => key),
        taken.map(({ payload }) => Number(payload)),
        taken.map(() => String(process.pid)),
      ],
    );
    return outcomes;
  }

  override ping(): Promise<void> {
    return this.ledger.query('SELECT FROM delivery LIMIT 1').then(() => undefined);
  }
}

/** A process that relays events into the ledger, and nothing else. */
async function main(): Promise<void> {
  const { CHAOS_URL = '', CHAOS_LEDGER_URL = '' } = process.env;
  if (process.env['CHAOS_DIES'] === 'when it has shards')
    SagazTelemetry.subscribe('outbox.shards-changed', () => process.kill(process.pid, 'SIGKILL'));
  const ledger = poolOf(CHAOS_LEDGER_URL, 1);
  const { stop } = await startSagaProcess(CHAOS_URL, [], {
    worker: { lease: '1s', sagas: false },
    broker: new LedgerBroker(ledger),
    outbox: {
      batchSize: Number(process.env['CHAOS_BATCH'] ?? 50),
      retry: { initialInterval: 20, maxInterval: 100, maxAttempts: 1_000 },
    },
  });
  const end = () =>
    void stop()
      .then(() => ledger.end())
      .then(() => process.disconnect?.());
  process.once('SIGTERM', end);
  process.once('disconnect', end);
  process.send?.({ kind: 'ready' });
}

void main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exitCode = 1;
});
