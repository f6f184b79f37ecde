import { once } from 'node:events';
import { startSagaProcess, stopSagaProcesses, type SagaProcess } from '../support/saga-process.js';
import { describeWith } from '../support/requirement.js';
import { until } from '../support/until.js';
import type { OutboxEventInput } from '../../lib/index.js';
import { DELIVERY_TABLE } from './support/deliveries.js';
import { ChaosWorld } from './support/chaos-world.js';

/** More publishers than this are not needed to find one killer. */
const MOST_DEATHS = 12;

describeWith('postgres', 'an event that kills its publisher', () => {
  let world: ChaosWorld;
  let producer: SagaProcess;
  beforeAll(async () => {
    world = await ChaosWorld.open();
    await world.query(DELIVERY_TABLE, world.ledgerUrl);
  });
  beforeEach(async () => {
    producer = await startSagaProcess(world.url, [], { worker: false });
  });
  afterEach(() => stopSagaProcesses());
  afterAll(() => world.close());

  const left = async () =>
    (await world.query('SELECT 1 FROM saga_outbox UNION ALL SELECT 1 FROM saga_outbox_retry')).length;
  const publish = (...events: readonly OutboxEventInput[]) =>
    producer.application.transaction((manager) => producer.runtime.outbox.publish(manager, events));

  /** Restarts the relay as often as it dies, as Kubernetes does. @returns how often it died */
  async function relayUntilDone(): Promise<number> {
    for (let deaths = 0; deaths <= MOST_DEATHS; deaths++) {
      const relay = await world.start({ program: 'relay-worker' });
      const done = until(async () => (await left()) === 0, 30_000).then(() => 'done' as const);
      const dead = relay.child.exitCode !== null || relay.child.signalCode !== null;
      const died = dead
        ? Promise.resolve('died' as const)
        : once(relay.child, 'exit').then(() => 'died' as const);
      const how = await Promise.race([done, died]);
      done.catch(() => undefined);
      if (how === 'died') continue;
      await relay.stop();
      return deaths;
    }
    throw new Error(`still not done after ${MOST_DEATHS} deaths`);
  }

  it('(pitfall 19) is isolated and becomes a dead letter, alone, and everything else is delivered', async () => {
    const others = Array.from({ length: 400 }, (_, n) => ({ type: 'fine', key: `k${n % 37}`, payload: n }));
    await publish(...others.slice(0, 250), { type: 'killer', key: 'k5', payload: -1 }, ...others.slice(250));
    const deaths = await relayUntilDone();
    process.stderr.write(`a killer among 400 events: ${deaths} publishers died\n`);
    const dead = await producer.runtime.outboxAdmin.deadLetters();
    expect(dead.map(({ type, reason }) => [type, reason])).toEqual([
      ['killer', expect.stringMatching(/^killer: /)],
    ]);
    const delivered = await world.query<{ n: number }>('SELECT DISTINCT n FROM delivery', world.ledgerUrl);
    expect(delivered.map(({ n }) => n).sort((a, b) => a - b)).toEqual(others.map(({ payload }) => payload));
    expect(await world.query('SELECT 1 FROM saga_outbox_shard WHERE suspect > 0')).toEqual([]);
  }, 180_000);

  it('(pitfall 19) is found in the side table, too: here because it was for later', async () => {
    const others = Array.from({ length: 40 }, (_, n) => ({ type: 'fine', payload: 1_000 + n, delay: 1 }));
    await publish(...others.slice(0, 20), { type: 'killer', payload: -1, delay: 1 }, ...others.slice(20));
    await publish({ type: 'fine', key: 'hot', payload: 2_000 });
    const deaths = await relayUntilDone();
    process.stderr.write(`a killer in the side table: ${deaths} publishers died\n`);
    expect(await producer.runtime.outboxAdmin.deadLetters({ type: 'fine' })).toEqual([]);
    const delivered = await world.query<{ n: number }>(
      'SELECT DISTINCT n FROM delivery WHERE n >= 1000',
      world.ledgerUrl,
    );
    expect(delivered).toHaveLength(41);
  }, 180_000);

  it('does not blame anybody for publishers that die before they publish', async () => {
    await publish({ type: 'fine', key: 'boot', payload: 5_000 });
    for (let n = 0; n < 6; n++) {
      const relay = world.spawn({ program: 'relay-worker', env: { CHAOS_DIES: 'when it has shards' } });
      await once(relay.child, 'exit');
    }
    expect(await relayUntilDone()).toBe(0);
    const blamed = await producer.runtime.outboxAdmin.deadLetters({ type: 'fine' });
    expect(blamed).toEqual([]);
  }, 60_000);
});
