import { setTimeout as sleep } from 'node:timers/promises';
import { InMemoryBroker, type PublishItem, type PublishOutcome } from 'nestjs-sagaz';
import { atMost, type Bench, type BenchSettings, type Figure } from '../bench.js';
import { aboutServer, benchDatabase, benchServer } from '../database.js';
import { openRelay } from '../library.js';
import { Peer } from '../peers.js';

const PER_SECOND = 50;
const OK: PublishOutcome = { status: 'ok' };

/** Notes when it was given each event. */
class NotingBroker extends InMemoryBroker {
  readonly at = new Map<string, number>();

  override publish(batch: readonly PublishItem[]): Promise<readonly PublishOutcome[]> {
    const now = Date.now() + (performance.now() % 1);
    for (const { key } of batch) this.at.set(key, now);
    return Promise.resolve(batch.map(() => OK));
  }
}

export const latencyBench: Bench = {
  name: 'latency',
  about: 'from the COMMIT of an event in one process until the broker has it in another, 50 a second',
  async run(settings: BenchSettings): Promise<readonly Figure[]> {
    const server = await benchServer();
    const database = await benchDatabase(server.url);
    const broker = new NotingBroker();
    const relay = await openRelay(database.url, broker);
    const writer = await Peer.start('dist/bench/outbox/writer.js', [database.url]);
    try {
      settings.tell(await aboutServer(server.url));
      await times(writer, broker, 20);
      const sorted = await times(writer, broker, settings.quick ? 20 : 1_500);
      const at = (part: number) => sorted[Math.floor(sorted.length * part)] ?? NaN;
      return [
        { field: 'p50Ms', value: at(0.5), unit: 'ms', bar: atMost(5) },
        { field: 'p99Ms', value: at(0.99), unit: 'ms', bar: atMost(30) },
      ];
    } finally {
      await writer.close();
      await relay.close();
      await database.drop();
      await server.stop();
    }
  },
};

/** Has events written, one after the other. @returns milliseconds from COMMIT to broker, sorted */
async function times(writer: Peer, broker: NotingBroker, events: number): Promise<number[]> {
  const sent = await writer.ask<{ sent: readonly (readonly [string, number])[] }>({
    events,
    perSecond: PER_SECOND,
  });
  while (!sent.sent.every(([key]) => broker.at.has(key))) await sleep(5);
  return sent.sent.map(([key, at]) => (broker.at.get(key) ?? NaN) - at).sort((a, b) => a - b);
}
