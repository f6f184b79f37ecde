import { SagaAdmin } from '../../lib/admin/saga-admin.js';
import type { SagaQuery } from '../../lib/admin/saga-query.js';
import { SagaRegistry } from '../../lib/saga/definition/saga-registry.js';
import { NonRetryableError } from '../../lib/saga/state/errors.js';
import { saga, SagaWorld } from '../support/saga-world.js';

function adminOf({ storage, interventions }: SagaWorld, registry: SagaRegistry): SagaAdmin {
  const taken = () => undefined;
  return new SagaAdmin({ storage, interventions, registry, taken, cancelled: () => Promise.resolve() });
}

describe('SagaAdmin', () => {
  const definition = saga({
    hotel: { run: () => ({ secret: 'room 7' }), undo: () => undefined },
    flight: {
      run: () => {
        throw new NonRetryableError('no seat');
      },
    },
  });
  let world: SagaWorld;
  let admin: SagaAdmin;

  beforeEach(() => {
    world = new SagaWorld();
    const registry = new SagaRegistry();
    registry.add(definition);
    admin = adminOf(world, registry);
  });

  it('tells what happened to a saga, in order and in words, without what its steps returned', async () => {
    const { sagaId } = await world.execute(definition, { card: 'secret' });
    const history = await admin.history(sagaId);
    expect(history).toMatchObject({
      sagaId,
      sagaName: 'trip',
      status: 'compensated',
      error: { message: 'no seat' },
    });
    const told = history.timeline.map(({ what, step, launched }) => [what, step, launched]);
    expect(told).toEqual([
      ['started', undefined, ['hotel']],
      ['step completed', 'hotel', ['flight']],
      ['step failed', 'flight', []],
      ['undo completed', 'hotel', []],
    ]);
    expect(history.timeline[2]).toMatchObject({
      attempt: 1,
      code: 'SAGAZ_NON_RETRYABLE',
      message: 'no seat',
      outcome: 'unknown',
      epoch: 1,
    });
    expect(history.timeline.every(({ at }) => Number.isFinite(at.getTime()))).toBe(true);
    expect(JSON.stringify(history)).not.toContain('secret');
    expect(history.mermaid).toContain('hotel: compensated');
    expect(history.mermaid).toContain('flight: failed');
  });

  it('draws nothing of a saga whose definition is not registered here', async () => {
    const { sagaId } = await world.execute(definition);
    const stranger = adminOf(world, new SagaRegistry());
    expect((await stranger.history(sagaId)).mermaid).toBeUndefined();
  });

  it('knows no saga of an unknown id', async () => {
    await expect(admin.history('nope')).rejects.toMatchObject({ code: 'SAGAZ_NOT_FOUND' });
  });

  it('lists page by page, with a cursor until the last', async () => {
    for (let n = 0; n < 5; n++) await world.execute(definition);
    const first = await admin.list({ limit: 3 });
    expect(first.sagas.map(({ sagaId }) => sagaId)).toEqual(['saga-5', 'saga-4', 'saga-3']);
    expect(first.next).toBe('saga-3');
    expect((await admin.list({ status: 'completed' })).sagas).toEqual([]);
    expect((await admin.list({ status: ['compensated', 'failed'] })).next).toBeUndefined();
  });

  it.each<[SagaQuery, string]>([
    [{ status: 'faild' as never }, 'status: "faild" is none; did you mean "failed"?'],
    [{ limit: 0 }, 'limit: expected a whole number from 1 to 500, got 0'],
    [{ limit: 501 }, 'limit: expected'],
    [{ after: 'x' }, 'after: expected what `next` of a page gave'],
    [{ startedAfter: new Date('nope') }, 'startedAfter: expected a Date'],
    [{ tags: { shop: 1 as never } }, 'tags.shop: expected a text, got number'],
  ])('refuses %j, naming the field', async (query, message) => {
    await expect(admin.list(query)).rejects.toThrow(message);
  });
});
