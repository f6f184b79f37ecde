import { OutboxAdmin } from '../../lib/admin/outbox-admin.js';
import { uuidV7 } from '../../lib/events/uuid-v7.js';
import { SagaInputError } from '../../lib/index.js';
import { MemoryDatabase } from '../../lib/persistence/memory/memory-database.js';
import { memoryPersistence } from '../../lib/persistence/memory/memory-persistence.js';
import { MemoryRetryStorage } from '../../lib/persistence/memory/memory-retry-storage.js';
import { FakeClock } from '../support/fake-clock.js';

/** Real storages, and the filters that reach them. */
function adminOf() {
  const { retries, outbox } = memoryPersistence(new FakeClock());
  const reached: unknown[] = [];
  const noting = <T extends object>(storage: T): T =>
    new Proxy(storage, {
      get: (target, name) => (filter: unknown, audit: unknown) => {
        reached.push(filter);
        return (Reflect.get(target, name) as (...args: unknown[]) => unknown).call(target, filter, audit);
      },
    });
  return { admin: new OutboxAdmin({ retries: noting(retries), outbox: noting(outbox) }), reached };
}

describe('a change of events', () => {
  it.each<[object, string]>([
    [{}, 'name eventIds'],
    [{ type: null }, 'name eventIds'],
    [{ limit: 10 }, 'there is no field "limit"'],
    [{ eventIDs: ['x'] }, 'there is no field "eventIDs"; did you mean "eventIds"?'],
    [{ eventIds: 'abc' }, 'eventIds: expected ids of events'],
    [{ type: '\u0000' }, 'type: expected a text without the character NUL'],
    [{ key: 7 }, 'key: expected a text'],
  ])('is refused that would mean everything, or nothing that is known: %j', async (filter, message) => {
    const { admin, reached } = adminOf();
    for (const change of ['discard', 'requeue', 'republish'] as const) {
      const refused = admin[change](filter);
      await expect(refused).rejects.toThrow(SagaInputError);
      await expect(refused).rejects.toThrow(message);
    }
    expect(reached).toEqual([]);
  });

  it('is refused that names more events than a list has', async () => {
    const { admin, reached } = adminOf();
    const eventIds = Array.from({ length: 501 }, () => uuidV7());
    for (const change of ['discard', 'requeue', 'republish'] as const)
      await expect(admin[change]({ eventIds })).rejects.toThrow(
        new SagaInputError('eventIds: expected at most 500 ids of events, got 501'),
      );
    expect(reached).toEqual([]);
  });

  it('hands on nothing but what was said', async () => {
    const { admin, reached } = adminOf();
    const filter = { type: 'order.poison', key: null, destination: undefined } as unknown as { type: string };
    await admin.discard(filter);
    expect(reached).toEqual([{ type: 'order.poison' }]);
  });
});

it('notes of thousands of dead letters in memory say what those of PostgreSQL say: each a thousand', async () => {
  const database = new MemoryDatabase();
  const retries = new MemoryRetryStorage(database, new FakeClock());
  const event = { shard: 0, destination: 'default', type: 'a', key: 'k', payload: '{}', headers: {} };
  const records = Array.from({ length: 2_500 }, () => ({ ...event, eventId: uuidV7() }));
  database.addEvents(records as unknown as Parameters<MemoryDatabase['addEvents']>[0], 0);
  await retries.bury(
    'w',
    [...database.events.values()].map((it) => ({ event: it, reason: 'rejected: no' })),
  );
  const audit = { actor: 'ada', action: 'discard', target: 'k', reason: null } as const;
  expect(await retries.discard({ key: 'k' }, audit)).toBe(2_500);
  expect(database.audits.map(({ after }) => after)).toEqual(
    [1_000, 1_000, 500].map((events) => ({ events })),
  );
});
