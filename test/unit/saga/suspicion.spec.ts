import { deathsOf } from '../../../lib/saga/execution/suspicion.js';
import { stateAfter } from '../../../lib/saga/execution/saga-fold.js';
import type { ClaimedSaga } from '../../../lib/saga/saga-storage.js';
import type { JournalEntry, JournalKind } from '../../../lib/saga/state/journal.js';
import { Deferred } from '../../../lib/runtime/deferred.js';
import { SagazTelemetry } from '../../../lib/runtime/telemetry.js';
import { settled } from '../../support/fake-clock.js';
import { processOf, saga, SagaWorld } from '../../support/saga-world.js';

const definition = saga({ hotel: { undo: () => undefined }, flight: {} });

function entryOf(
  seq: number,
  epoch: number,
  kind: JournalKind,
  rest: Partial<JournalEntry> = {},
): JournalEntry {
  return { seq, epoch, kind, step: null, attempt: 0, launch: [], data: null, ...rest };
}
const hotelDone = (seq: number, epoch: number) =>
  entryOf(seq, epoch, 'step_completed', { step: 'hotel', attempt: 1, launch: ['flight'] });
const resumed = (seq: number, epoch: number, deaths: number) =>
  entryOf(seq, epoch, 'resumed', { data: JSON.stringify({ deaths }), launch: [] });

/** As it comes to its next owner. */
function claimed(
  journal: readonly JournalEntry[],
  epoch: number,
  overrides: Partial<ClaimedSaga> = {},
): ClaimedSaga {
  return {
    ...{
      sagaId: 's1',
      name: 'trip',
      version: 1,
      definition: '',
      input: '{}',
      correlationId: 's1',
      launch: ['hotel'],
      status: 'running',
    },
    ...{
      epoch,
      journal,
      ageMs: 0,
      silentMs: 1,
      orphaned: true,
      cancelRequested: false,
      deadlineInMs: undefined,
      signals: [],
    },
    ...overrides,
  };
}

function deaths(
  journal: readonly JournalEntry[],
  epoch: number,
  overrides: Partial<ClaimedSaga> = {},
): number {
  const saga = claimed(journal, epoch, overrides);
  return deathsOf(saga, stateAfter(definition, saga.launch, journal));
}

describe('the deaths that count against a saga', () => {
  it('are those of owners that were running something of it', () => {
    expect(deaths([], 2)).toBe(1);
    expect(deaths([hotelDone(1, 1)], 2)).toBe(1);
  });

  it('are not those of owners that had not begun anything', () => {
    expect(deaths([hotelDone(1, 1)], 3)).toBe(0);
    expect(deaths([], 2, { launch: [] })).toBe(0);
    expect(deaths([resumed(1, 2, 1)], 4)).toBe(1);
  });

  it('are not those of owners that let go of it, or lost track of it and are alive', () => {
    const released = entryOf(2, 2, 'released', { data: '{"unrun":[],"cut":["hotel"]}' });
    expect(deaths([resumed(1, 2, 1), released], 3, { orphaned: false })).toBe(1);
    expect(deaths([hotelDone(1, 1)], 2, { orphaned: false })).toBe(0);
  });

  it('add up until something of the saga ends', () => {
    expect(deaths([resumed(1, 2, 1)], 3)).toBe(2);
    expect(deaths([resumed(1, 2, 1), resumed(2, 3, 2)], 4)).toBe(3);
    expect(deaths([resumed(1, 2, 1), resumed(2, 3, 2), hotelDone(3, 3)], 4)).toBe(1);
  });

  it('count for undos too', () => {
    const failed = entryOf(2, 1, 'step_failed', { step: 'flight', attempt: 1, data: '{"outcome":"failed"}' });
    expect(deaths([hotelDone(1, 1), failed], 2)).toBe(1);
  });
});

describe('a process with suspects', () => {
  it('runs one of them at a time, beside sagas that are none', async () => {
    const world = new SagaWorld();
    const gate = new Deferred<void>();
    const began: string[] = [];
    const slow = saga({
      hotel: {
        run: ({ sagaId }) => {
          began.push(sagaId);
          return gate.promise;
        },
      },
    });
    const { executor, lease } = processOf(world, slow, 'two');
    await lease.start();
    for (const [sagaId, died] of [
      ['s1', 2],
      ['s2', 2],
      ['s3', 0],
    ] as const) {
      const launch = ['hotel'];
      const fresh = {
        sagaId,
        name: 'trip',
        version: 1,
        definition: '',
        input: '{}',
        correlationId: sagaId,
        tags: {},
        launch,
      };
      await world.storage.create({
        ...{
          ...fresh,
          idempotencyKey: undefined,
          inputHash: '',
          owner: 'one',
          launchesPivot: false,
          timeoutMs: undefined,
          delayMs: undefined,
        },
      });
      const journal = died === 0 ? [] : [resumed(1, 1, died - 1)];
      if (journal[0]) await world.storage.append({ sagaId, epoch: 1, entries: journal, events: [] });
    }
    const taken = await world.storage.claim({
      ...{ workerId: 'two', versions: [slow], held: [], lost: [], limit: 10 },
    });
    for (const saga of taken) executor.accept(saga);
    await settled();
    expect(began).toEqual(['s1', 's3']);
    gate.resolve();
    await settled();
    expect(began).toEqual(['s1', 's3', 's2']);
    await lease.stop(true);
  });

  it('turns one back, and calls nothing of it, whose time ran out while it waited for the others', async () => {
    const world = new SagaWorld();
    const gate = new Deferred<void>();
    const began: string[] = [];
    const limited = saga(
      {
        hotel: {
          timeout: '1h',
          run: ({ sagaId, fencingToken }) => {
            if (fencingToken > 1) began.push(sagaId);
            return gate.promise;
          },
        },
      },
      { timeout: '1m' },
    );
    const { executor, lease } = processOf(world, limited, 'two');
    const runs = [await world.start(limited), await world.start(limited)];
    for (const run of runs) {
      world.kill(run);
      world.storage.beforeWrite = () => undefined;
      const entries = [resumed(1, 1, 2)];
      await world.storage.append({ sagaId: run.sagaId, epoch: 1, entries, events: [] });
    }
    const claims = await world.storage.claim({
      ...{ workerId: 'two', versions: [limited], held: [], lost: [], limit: 10 },
    });
    await lease.start();
    // The first one has no limit, so that it holds the place of the suspects.
    executor.accept({ ...claims[0], deadlineInMs: undefined } as ClaimedSaga);
    executor.accept(claims[1] as ClaimedSaga);
    await world.clock.advance(61_000);
    for (const run of runs) run.runner.lostTrack(new Error('its process is dead'));
    gate.resolve();
    await executor.idle();
    expect(began).toEqual([claims[0]?.sagaId]);
    expect(await world.status(claims[1]?.sagaId ?? '')).toBe('compensated');
    await lease.stop(true);
  });

  it.each(['a signal', 'a cancel'] as const)(
    'lets nothing of one begin for %s before its turn',
    async (what) => {
      const world = new SagaWorld();
      const gate = new Deferred<void>();
      const calls: string[] = [];
      const waits = saga({
        hotel: { dependsOn: [], timeout: '1h', run: () => gate.promise, undo: () => void calls.push('undo') },
        paid: {
          ...{ dependsOn: [], waitFor: 'paid', timeout: '1h' },
          run: async () => {
            calls.push('paid');
            await gate.promise;
          },
        },
      });
      const { executor, lease, orchestrator } = processOf(world, waits, 'two');
      const dead = [await world.start(waits), await world.start(waits)];
      await settled();
      for (const { sagaId } of dead) {
        const { length } = await world.storage.journal(sagaId);
        await world.storage.append({ sagaId, epoch: 1, entries: [resumed(length + 1, 1, 2)], events: [] });
      }
      for (const run of dead) world.kill(run);
      world.storage.beforeWrite = () => undefined;
      const claims = await world.storage.claim({
        ...{ workerId: 'two', versions: [waits], held: [], lost: [], limit: 10 },
      });
      await lease.start();
      for (const claim of claims) executor.accept(claim);
      await settled();
      const second = claims[1]?.sagaId ?? '';
      if (what === 'a signal') {
        await orchestrator.signal(second, 'paid');
        executor.signalled(await world.storage.signals([{ sagaId: second, seq: 0 }]));
      } else await orchestrator.cancel(second);
      await settled();
      expect(calls).toEqual([]);
      gate.resolve();
      await world.clock.until(executor.idle());
      expect(calls).toEqual([what === 'a signal' ? 'paid' : 'undo']);
      expect(await world.status(second)).toBe(what === 'a signal' ? 'completed' : 'compensated');
      await lease.stop(true);
    },
  );

  it('leaves no timer behind of one that was lost while it waited for the others', async () => {
    const world = new SagaWorld();
    const limited = saga({ hotel: { run: () => Promise.resolve() } }, { timeout: '1m' });
    const { executor } = processOf(world, limited, 'two');
    const suspects = ['s1', 's2'].map((sagaId) =>
      claimed([resumed(1, 1, 2)], 2, { sagaId, deadlineInMs: 60_000 }),
    );
    const gate = new Deferred<void>();
    world.storage.beforeWrite = () => gate.promise;
    for (const suspect of suspects) executor.accept(suspect);
    executor.abandon(new Error('its lease is lost'));
    gate.resolve();
    await executor.idle();
    expect(world.clock.waiting).toEqual([]);
  });

  it('parks the one that killed more processes in a row than maxClaims, and tells of it', async () => {
    const world = new SagaWorld();
    const { executor } = processOf(world, saga({ hotel: {} }), 'two');
    const run = await world.start(saga({ hotel: { run: () => new Promise(() => undefined) } }));
    await world.storage.append({ sagaId: run.sagaId, epoch: 1, entries: [resumed(1, 1, 5)], events: [] });
    const [taken] = await world.storage.claim({
      ...{ workerId: 'two', versions: [{ name: 'trip', version: 1 }], held: [], lost: [], limit: 10 },
    });
    if (!taken) throw new Error('it cannot be claimed');
    executor.accept(taken);
    await settled();
    expect(await world.status(run.sagaId)).toBe('parked');
    expect(await world.result(run.sagaId)).toMatchObject({
      status: 'parked',
      error: { code: 'SAGAZ_CRASH_LOOP' },
    });
  });

  it('leaves the one that it has parked alone, also when the time of that saga runs out', async () => {
    const world = new SagaWorld();
    const limited = saga({ hotel: { run: () => new Promise(() => undefined) } }, { timeout: '1m' });
    const { executor } = processOf(world, limited, 'two');
    const run = await world.start(limited);
    world.kill(run);
    world.storage.beforeWrite = () => undefined;
    await world.storage.append({ sagaId: run.sagaId, epoch: 1, entries: [resumed(1, 1, 5)], events: [] });
    executor.accept(await world.claim(run.sagaId, limited));
    await settled();
    expect(await world.status(run.sagaId)).toBe('parked');
    run.runner.lostTrack(new Error('its process is dead'));
    await world.clock.advance(61_000);
    expect(await world.status(run.sagaId)).toBe('parked');
  });

  it('does not tell of a saga as parked that it could not park', async () => {
    const world = new SagaWorld();
    const parked: unknown[] = [];
    const end = SagazTelemetry.subscribe('saga.parked', (event) => parked.push(event));
    const { executor } = processOf(world, saga({ hotel: {} }), 'two');
    const run = await world.start(saga({ hotel: { run: () => new Promise(() => undefined) } }));
    await world.storage.append({ sagaId: run.sagaId, epoch: 1, entries: [resumed(1, 1, 5)], events: [] });
    const taken = await world.claim(run.sagaId, saga({ hotel: {} }));
    world.storage.beforeWrite = () => {
      throw new Error('the database is away');
    };
    executor.accept(taken);
    await settled();
    end();
    expect(parked).toEqual([]);
    expect(executor.lost).toEqual([run.sagaId]);
  });
});
