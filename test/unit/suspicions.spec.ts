import type { PendingEvent } from '../../lib/outbox/outbox-storage.js';
import { SuspectStorage, type SuspectShard } from '../../lib/outbox/suspect-storage.js';
import { Suspicions } from '../../lib/outbox/suspicions.js';

const BATCH = 1_000;

/** One shard, as the database keeps it. */
class OneShard extends SuspectStorage {
  suspect = 0;
  unclean = false;
  private accused: bigint | undefined;
  private times = 0;

  suspects(): Promise<readonly SuspectShard[]> {
    const level = this.suspect + (this.unclean ? 1 : 0);
    return Promise.resolve(level > 0 ? [{ shard: 0, level }] : []);
  }

  accuse(): Promise<void> {
    if (this.unclean) this.suspect += 1;
    this.unclean = false;
    return Promise.resolve();
  }

  accuseAlone(_workerId: string, { id }: PendingEvent): Promise<number> {
    this.suspect = Math.max(this.suspect, 3);
    this.unclean = false;
    this.times = this.accused === id ? this.times + 1 : 1;
    this.accused = id;
    return Promise.resolve(this.times);
  }

  acquit(): Promise<void> {
    Object.assign(this, { suspect: 0, unclean: false, accused: undefined, times: 0 });
    return Promise.resolve();
  }
}

const event = (id: number): PendingEvent => ({
  ...{ id: BigInt(id), eventId: `event-${id}`, shard: 0, destination: 'default', type: 'a', key: 'k' },
  ...{ aggregateType: null, aggregateId: null, payload: '{}', headers: '{}', createdMs: 0 },
});

/** Relays a shard with one process after the other. @param dies whether the process that publishes these does not survive it */
async function relayAll(count: number, dies: (batch: readonly PendingEvent[]) => boolean) {
  const storage = new OneShard();
  const buried: bigint[] = [];
  let pending = Array.from({ length: count }, (_, n) => event(n + 1));
  const remove = (gone: readonly PendingEvent[]) => {
    pending = pending.filter((it) => !gone.includes(it));
  };
  const bury = (events: readonly PendingEvent[]) => {
    buried.push(...events.map(({ id }) => id));
    remove(events);
    return Promise.resolve();
  };
  let deaths = 0;
  for (; deaths < 100; deaths++) {
    const identity = { id: `worker ${deaths}`, remainingMs: () => 1_000 };
    const suspicions = new Suspicions({ storage, identity, batchSize: BATCH, bury });
    await suspicions.own([0]);
    let alive = true;
    while (alive && pending.length > 0) {
      const events = await suspicions.accuse(pending.slice(0, suspicions.focus?.limit ?? BATCH));
      alive = !dies(events);
      if (!alive) continue;
      await suspicions.survive(events, true);
      remove(events);
    }
    if (alive) break;
    storage.unclean = true;
  }
  return { deaths, buried, pending: pending.length, level: storage.suspect };
}

describe('Suspicions', () => {
  it.each([1, 2, 31, 32, 33, 500, 1_000, 1_001, 2_500])(
    'find the one event of 3,000 that kills, at place %i, and no other',
    async (place) => {
      const { deaths, buried, pending } = await relayAll(3_000, (batch) =>
        batch.some(({ id }) => id === BigInt(place)),
      );
      expect([buried, pending]).toEqual([[BigInt(place)], 0]);
      expect(deaths).toBeLessThanOrEqual(8);
    },
  );

  it('find both of two', async () => {
    const killers = [40n, 700n];
    const { buried, pending } = await relayAll(1_500, (batch) =>
      batch.some(({ id }) => killers.includes(id)),
    );
    expect([buried, pending]).toEqual([killers, 0]);
  });

  it('blame nobody for deaths that have other reasons, and forget them after a full batch', async () => {
    let batches = 0;
    const { deaths, buried, level } = await relayAll(5_000, () => batches++ % 40 === 3);
    expect(deaths).toBeGreaterThan(0);
    expect([buried, level]).toEqual([[], 0]);
  });
});
