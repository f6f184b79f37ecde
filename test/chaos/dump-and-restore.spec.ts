import { SHARD_COUNT, shardOf } from '../../lib/events/shard.js';
import { startSagaProcess, stopSagaProcesses } from '../support/saga-process.js';
import { describeWith } from '../support/requirement.js';
import { until } from '../support/until.js';
import { ChaosWorld } from './support/chaos-world.js';
import { Cluster } from './support/cluster.js';
import { compareDeliveries, prepareDeliveries } from './support/deliveries.js';
import { random } from './support/load.js';
import { restore } from './support/restore.js';
import { startProducers } from './support/producers.js';

/** Of the relay worker, all shards together. */
const BATCH = 50;

describeWith('pg_dump', 'a database that is restored into a new cluster', () => {
  const closing: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    await stopSagaProcesses();
    for (const close of closing.splice(0).reverse()) await close();
  });

  it('in the middle of a run loses no event, and repeats at most one batch of each shard, under the same ids', async () => {
    const world = await ChaosWorld.open();
    closing.push(() => world.close());
    await prepareDeliveries(world);
    const { application, runtime } = await startSagaProcess(world.url, [], { worker: false });
    const load = { application, outbox: runtime.outbox, producers: 16, keys: 50, chance: random(11) };
    const stop = startProducers(load);
    const relays = [];
    for (let n = 0; n < 2; n++)
      relays.push(await world.start({ program: 'relay-worker', env: { CHAOS_PACE: '120' } }));
    const delivered = () => world.query<{ n: number }>('SELECT 1 AS n FROM delivery', world.ledgerUrl);
    await until(async () => (await delivered()).length > 1_000, 60_000);
    await stop();
    for (const relay of relays) relay.kill('SIGKILL');
    const pending = (await world.query('SELECT 1 FROM saga_outbox')).length;
    const before = (await delivered()).length;
    expect(pending).toBeGreaterThan(100);

    const cluster = await Cluster.create();
    closing.push(() => cluster.drop());
    restore(world.url, cluster.url);
    await world.start({ url: cluster.url, program: 'relay-worker' });
    const left = () => cluster.query('SELECT 1 FROM saga_outbox UNION ALL SELECT 1 FROM saga_outbox_retry');
    await until(async () => (await left()).length === 0, 60_000);

    const { committed, deliveries, lost, uncommitted, inversions } = await compareDeliveries(world);
    const seen = new Set<string>();
    const repeats = Array.from({ length: SHARD_COUNT }, () => 0);
    for (const { event_id, key } of deliveries) {
      if (seen.has(event_id)) repeats[shardOf(key)] = (repeats[shardOf(key)] ?? 0) + 1;
      seen.add(event_id);
    }
    process.stderr.write(
      `${committed.length} events, ${before} deliveries before, ${pending} pending in the dump, ` +
        `${deliveries.length - seen.size} repeated, of one shard at most ${Math.max(...repeats)}\n`,
    );
    expect([lost, uncommitted, inversions]).toEqual([[], [], []]);
    expect(Math.max(...repeats)).toBeLessThanOrEqual(BATCH);
  }, 180_000);
});
