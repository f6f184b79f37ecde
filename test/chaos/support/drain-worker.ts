import { InMemoryBroker } from '../../../lib/brokers/memory/in-memory-broker.js';
import type { PublishItem, PublishOutcome } from '../../../lib/events/publish.js';
import { startSagaProcess } from '../../support/saga-process.js';

const OK: PublishOutcome = { status: 'ok' };
const SAMPLE_MS = 20;

/** Takes everything at once, as a broker does that is quicker than the database. */
class CountingBroker extends InMemoryBroker {
  events = 0;
  bytes = 0;

  override publish(batch: readonly PublishItem[]): Promise<readonly PublishOutcome[]> {
    this.events += batch.length;
    for (const { payload } of batch) this.bytes += Buffer.byteLength(payload);
    return Promise.resolve(batch.map(() => OK));
  }
}

/** A process that only relays, and says how much memory that took. */
async function main(): Promise<void> {
  const broker = new CountingBroker();
  const most = { heap: 0, resident: 0 };
  const sample = setInterval(() => {
    const { heapUsed, rss } = process.memoryUsage();
    most.heap = Math.max(most.heap, heapUsed);
    most.resident = Math.max(most.resident, rss);
  }, SAMPLE_MS);
  const { stop } = await startSagaProcess(process.env['CHAOS_URL'] ?? '', [], {
    ...{ broker, worker: { lease: '5s', sagas: false } },
  });
  process.on('message', () => {
    const { events, bytes } = broker;
    process.send?.({ kind: 'counts', counts: { ...most, events, bytes } });
  });
  const end = () => {
    clearInterval(sample);
    void stop().then(() => process.disconnect?.());
  };
  process.once('SIGTERM', end);
  process.once('disconnect', end);
  process.send?.({ kind: 'ready' });
}

void main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exitCode = 1;
});
