import { Deferred } from '../../../lib/runtime/deferred.js';
import {
  FencedError,
  NoEffectError,
  NonRetryableError,
  SagaCancelledError,
  StepTimeoutError,
  TransactionRequiredError,
} from '../../../lib/saga/state/errors.js';
import { settled } from '../../support/fake-clock.js';
import { QUICK, saga, SagaWorld, type Action, type Undo } from '../../support/saga-world.js';

/** A handler that throws each of these, one per call, and then is done. */
function failing(...thrown: readonly Error[]) {
  const rest = [...thrown];
  return () => {
    const next = rest.shift();
    if (next !== undefined) throw next;
    return 'done';
  };
}

function aborted(signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve) => signal.addEventListener('abort', resolve));
}

const never = () => new Promise<never>(() => undefined);

describe('a saga that goes forward', () => {
  it('completes with the results of its steps', async () => {
    const world = new SagaWorld();
    const definition = saga({
      hotel: { run: ({ input }) => ({ room: 7, city: input['city'] }) },
      flight: { run: ({ results }) => ({ near: results['hotel'] }) },
      mail: { run: () => undefined },
    });
    const result = await world.execute(definition, { city: 'Oslo' });
    const hotel = { room: 7, city: 'Oslo' };
    expect(result.status).toBe('completed');
    expect(result.results).toEqual({ hotel, flight: { near: hotel } });
    expect(await world.journal(result.sagaId)).toEqual([
      'step_completed hotel -> flight',
      'step_completed flight -> mail',
      'step_completed mail',
    ]);
  });

  it('has no result of a step that returned nothing, and null of one that returned null', async () => {
    const world = new SagaWorld();
    const seen: unknown[] = [];
    const undo = ({ step, result }: Undo) => void seen.push([step, result]);
    const definition = saga({
      hotel: { run: () => undefined, undo },
      flight: { run: () => null, undo },
      mail: {
        run: ({ results }) => {
          seen.push(results);
          throw new NonRetryableError('no');
        },
      },
    });
    const { sagaId, results } = await world.execute(definition);
    expect(results).toStrictEqual({ flight: null });
    expect(seen).toStrictEqual([{ flight: null }, ['flight', null], ['hotel', undefined]]);
    const [hotel, flight] = await world.storage.journal(sagaId);
    expect([hotel?.data, flight?.data]).toEqual([null, 'null']);
  });

  it('runs branches that do not wait for each other at the same time, and joins after both', async () => {
    const world = new SagaWorld();
    const begun: string[] = [];
    const gates = { hotel: new Deferred<void>(), flight: new Deferred<void>() };
    const run = (name: 'hotel' | 'flight') => async () => {
      begun.push(name);
      await gates[name].promise;
    };
    const definition = saga({
      hotel: { dependsOn: [], run: run('hotel') },
      flight: { dependsOn: [], run: run('flight') },
      mail: { dependsOn: ['hotel', 'flight'], run: () => void begun.push('mail') },
    });
    const { sagaId, done } = await world.start(definition);
    await settled();
    expect(begun).toEqual(['hotel', 'flight']);
    gates.flight.resolve();
    await settled();
    expect(begun).toEqual(['hotel', 'flight']);
    gates.hotel.resolve();
    await expect(done).resolves.toBe('ended');
    expect(begun).toEqual(['hotel', 'flight', 'mail']);
    expect(await world.status(sagaId)).toBe('completed');
  });

  it('starts a step only when its launch is in the journal', async () => {
    const world = new SagaWorld();
    const seen: string[][] = [];
    const definition = saga({
      hotel: {},
      mail: { run: async ({ sagaId }) => void seen.push(await world.journal(sagaId)) },
    });
    await world.execute(definition);
    expect(seen).toEqual([['step_completed hotel -> mail']]);
  });

  it('keeps to the concurrency of the saga', async () => {
    const world = new SagaWorld();
    let now = 0;
    let most = 0;
    const run = async () => {
      most = Math.max(most, ++now);
      await world.clock.delay(10);
      now--;
    };
    const steps = Object.fromEntries(['a', 'b', 'c', 'd', 'e'].map((name) => [name, { dependsOn: [], run }]));
    await expect(world.execute(saga(steps, { concurrency: 2 }))).resolves.toMatchObject({
      status: 'completed',
    });
    expect(most).toBe(2);
  });

  it('tells each handler who it is, and gives action and undo their own stable idempotency key', async () => {
    const world = new SagaWorld();
    const actions: Action[] = [];
    const undos: Undo[] = [];
    const definition = saga({
      hotel: {
        run: (ctx) => {
          actions.push(ctx);
          if (actions.length === 1) throw new Error('once more');
          return { room: 7 };
        },
        undo: (ctx) => void undos.push(ctx),
      },
      flight: { run: failing(new NonRetryableError('no seats')) },
    });
    const { sagaId } = await world.execute(definition, { city: 'Oslo' });
    const sagaStartedAt: unknown = expect.stringMatching(/^\d{4}-.*Z$/);
    const common = {
      ...{ sagaId, sagaName: 'trip', step: 'hotel', input: { city: 'Oslo' }, fencingToken: 1 },
      ...{ correlationId: `of ${sagaId}`, headers: { sagaId, sagaStartedAt, correlationId: `of ${sagaId}` } },
    };
    expect(actions).toMatchObject([
      { ...common, phase: 'action', attempt: 1, idempotencyKey: `${sagaId}:hotel` },
      { ...common, phase: 'action', attempt: 2, idempotencyKey: `${sagaId}:hotel` },
    ]);
    const undo = { phase: 'undo', attempt: 1, idempotencyKey: `${sagaId}:hotel:undo`, outcome: 'completed' };
    expect(undos).toMatchObject([{ ...common, ...undo, result: { room: 7 } }]);
    expect(actions[0]?.deadline).toEqual(new Date(Date.UTC(2026, 0, 1) + 30_000));
  });

  it('offers a transaction only to steps that have one, and says why it does not', async () => {
    const world = new SagaWorld();
    const thrown: unknown[] = [];
    const ask = (ctx: Action) => {
      try {
        return ctx.manager;
      } catch (error) {
        thrown.push(error);
        return undefined;
      }
    };
    await world.execute(saga({ hotel: { run: ask }, book: { transactional: true, run: ask } }));
    expect(thrown).toEqual([expect.any(TransactionRequiredError), expect.any(TransactionRequiredError)]);
    expect(thrown.map(String)).toEqual([
      expect.stringContaining('Trip.hotel: add transactional: true to the step "hotel"'),
      expect.stringContaining('Trip.book: memory storage has no transactions'),
    ]);
  });

  it('does not mix two sagas of one definition that run at once', async () => {
    const world = new SagaWorld();
    const gate = new Deferred<void>();
    const seen: unknown[] = [];
    const definition = saga({
      hotel: {
        run: async ({ input }) => {
          await gate.promise;
          (input as Record<string, unknown>)['touched'] = true;
          return input['city'];
        },
        undo: ({ input, result }) => void seen.push(['undo', input, result]),
      },
      flight: {
        run: ({ input, results }) => {
          seen.push([input, results]);
          if (input['city'] === 'Bergen') throw new NonRetryableError('no seats');
        },
      },
    });
    const one = await world.start(definition, { city: 'Oslo' });
    const two = await world.start(definition, { city: 'Bergen' });
    gate.resolve();
    await Promise.all([one.done, two.done]);
    expect(await world.result(one.sagaId)).toMatchObject({ status: 'completed', results: { hotel: 'Oslo' } });
    expect(await world.result(two.sagaId)).toMatchObject({
      status: 'compensated',
      results: { hotel: 'Bergen' },
    });
    expect(seen).toEqual([
      [{ city: 'Oslo' }, { hotel: 'Oslo' }],
      [{ city: 'Bergen' }, { hotel: 'Bergen' }],
      ['undo', { city: 'Bergen' }, 'Bergen'],
    ]);
  });
});

describe('a step that fails', () => {
  it('is tried again with its back-off until it succeeds', async () => {
    const world = new SagaWorld();
    const at: number[] = [];
    const fail = failing(new Error('1'), new Error('2'));
    const run = () => {
      at.push(world.clock.monotonic());
      return fail();
    };
    const result = await world.execute(saga({ hotel: { run, retry: { ...QUICK, maxAttempts: 3 } } }));
    expect(result.status).toBe('completed');
    expect(at).toEqual([0, 10, 30]);
  });

  it('turns the saga back after its last attempt, with the last error as the reason', async () => {
    const world = new SagaWorld();
    const undone: unknown[] = [];
    const definition = saga({
      hotel: { run: () => ({ room: 7 }), undo: ({ outcome, result }) => void undone.push([outcome, result]) },
      flight: {
        run: failing(new Error('first'), Object.assign(new Error('no seats'), { code: 'FULL' })),
        undo: ({ outcome, result }) => void undone.push([outcome, result]),
        retry: { ...QUICK, maxAttempts: 2 },
      },
    });
    expect(await world.execute(definition)).toMatchObject({
      status: 'compensated',
      error: { code: 'FULL', message: 'no seats', step: 'flight' },
      results: { hotel: { room: 7 } },
    });
    expect(undone).toEqual([
      ['unknown', undefined],
      ['completed', { room: 7 }],
    ]);
  });

  it('is not undone when it is known that nothing happened, and undone when one attempt left that open', async () => {
    const world = new SagaWorld();
    const undone: string[] = [];
    const undo = ({ step }: Undo) => void undone.push(step);
    const refused = () => new NoEffectError('closed');
    const definition = (...thrown: Error[]) =>
      saga({ hotel: { run: failing(...thrown), undo, retry: { ...QUICK, maxAttempts: 2 } } });
    await world.execute(definition(refused(), refused()));
    expect(undone).toEqual([]);
    await world.execute(definition(new Error('who knows'), refused()));
    expect(undone).toEqual(['hotel']);
  });

  it('is undone although it timed out, because its effect may be there', async () => {
    const world = new SagaWorld();
    const charges: string[] = [];
    const definition = saga({
      charge: {
        timeout: '1s',
        retry: false,
        run: async ({ signal }) => {
          charges.push('charged');
          await world.clock.delay(60_000, signal);
          throw signal.reason;
        },
        undo: ({ outcome }) => void charges.push(`refunded ${outcome}`),
      },
    });
    expect(await world.execute(definition)).toMatchObject({
      status: 'compensated',
      error: {
        code: 'SAGAZ_STEP_TIMEOUT',
        message: 'Trip.charge did not end within 1000 ms',
        step: 'charge',
      },
    });
    expect(charges).toEqual(['charged', 'refunded unknown']);
  });

  it('waits for its grace after a time-out before it is tried again', async () => {
    const world = new SagaWorld();
    const at: number[] = [];
    const run = () => {
      at.push(world.clock.monotonic());
      return at.length === 1 ? never() : 'done';
    };
    const definition = saga({ hotel: { run, timeout: '1s', retry: QUICK } }, { settleGrace: '2s' });
    await expect(world.execute(definition)).resolves.toMatchObject({ status: 'completed' });
    expect(at).toEqual([0, 3_010]);
  });

  it('drops the events of a failed attempt and keeps those of the one that succeeded, and of undos', async () => {
    const world = new SagaWorld();
    const definition = saga({
      hotel: {
        run: async (ctx) => {
          await ctx.publish({ type: `hotel.attempt-${ctx.attempt}` });
          if (ctx.attempt === 1) throw new Error('once more');
          expect(world.events).toEqual([]);
        },
        undo: async (ctx) => {
          await ctx.publish({ type: `hotel.undo-${ctx.attempt}` });
          if (ctx.attempt === 1) throw new Error('once more');
        },
      },
      flight: {
        run: async (ctx) => {
          await ctx.publish({ type: 'flight.booked' });
          throw new NonRetryableError('no seats');
        },
      },
    });
    const { sagaId } = await world.execute(definition);
    expect(world.events).toEqual(['hotel.attempt-2', 'hotel.undo-2']);
    expect(world.relayWoken).toBe(2);
    expect([...world.database.events.values()][0]).toMatchObject({
      key: sagaId,
      headers: expect.stringContaining(sagaId) as unknown,
    });
  });

  it('has published nothing when it was refused: the attempt fails with the place of the fault', async () => {
    const world = new SagaWorld();
    const run = (ctx: Action) => ctx.publish({ type: 'hotel.booked', payload: { rooms: new Map() } });
    const result = await world.execute(saga({ hotel: { run, retry: false } }));
    expect(result).toMatchObject({
      status: 'compensated',
      error: { code: 'SAGAZ_INVALID_INPUT', message: expect.stringContaining('payload.rooms') as unknown },
    });
    expect(world.events).toEqual([]);
  });

  it('counts as unknown, and does not stop the saga, when noEffectOn itself throws', async () => {
    const world = new SagaWorld();
    const undone: string[] = [];
    const noEffectOn = (error: unknown) =>
      (error as { response: { status: number } }).response.status === 409;
    const definition = saga({
      hotel: {
        run: failing(new Error('no response at all')),
        retry: false,
        noEffectOn,
        undo: ({ outcome }) => void undone.push(outcome),
      },
    });
    await expect(world.execute(definition)).resolves.toMatchObject({ status: 'compensated' });
    expect(undone).toEqual(['unknown']);
  });

  it('does not stop the saga when retryIf itself throws', async () => {
    const world = new SagaWorld();
    const retryIf = (error: unknown) => (error as { response: { status: number } }).response.status === 503;
    const definition = saga({
      hotel: { run: failing(new Error('no response at all')), retry: { ...QUICK, retryIf } },
    });
    const { sagaId, done } = await world.start(definition);
    await expect(world.clock.until(done)).resolves.toBe('ended');
    expect(['completed', 'compensated']).toContain(await world.status(sagaId));
  });

  it('is not repeated past its attempts because of a deadlock that an ordinary step met in a database of its own', async () => {
    const world = new SagaWorld();
    let calls = 0;
    const run = () => {
      calls++;
      throw Object.assign(new Error('deadlock detected'), { code: '40P01' });
    };
    const result = await world.execute(saga({ hotel: { run, retry: false } }));
    expect(result).toMatchObject({ status: 'compensated', error: { code: '40P01' } });
    expect(calls).toBe(1);
  });

  it('is repeated up to five times for deadlocks of its own transaction, without counting attempts', async () => {
    const world = new SagaWorld();
    const attempts: number[] = [];
    const run = (until: number) => (ctx: Action) => {
      if (attempts.push(ctx.attempt) <= until) throw Object.assign(new Error('deadlock'), { code: '40P01' });
      return 'done';
    };
    const once = { transactional: true, retry: false as const };
    await expect(world.execute(saga({ book: { ...once, run: run(5) } }))).resolves.toMatchObject({
      status: 'completed',
    });
    expect(attempts).toEqual([1, 1, 1, 1, 1, 1]);
    attempts.length = 0;
    await expect(world.execute(saga({ book: { ...once, run: run(99) } }))).resolves.toMatchObject({
      status: 'compensated',
    });
    expect(attempts).toHaveLength(6);
  });

  it('is never undone when it was transactional: what did not commit left nothing', async () => {
    const world = new SagaWorld();
    const undone: string[] = [];
    const undo = ({ step }: Undo) => void undone.push(step);
    const definition = saga({ book: { transactional: true, retry: false, timeout: '1s', run: never, undo } });
    await expect(world.execute(definition)).resolves.toMatchObject({
      status: 'compensated',
      error: { code: 'SAGAZ_STEP_TIMEOUT' },
    });
    expect(undone).toEqual([]);
  });
});

describe('a result that cannot be kept', () => {
  it.each([
    [
      'that JSON cannot hold',
      () => ({ rooms: [1n] }),
      'SAGAZ_RESULT_NOT_SERIALISABLE',
      'Trip.hotel returned result.rooms[0]: a bigint',
    ],
    [
      'that is too large',
      () => 'x'.repeat(100),
      'SAGAZ_PAYLOAD_TOO_LARGE',
      'Trip.hotel returned 102 bytes; the limit payload.maxBytes is 90',
    ],
  ])('%s leaves the step completed and turns the saga back', async (_what, run, code, message) => {
    const world = new SagaWorld();
    world.maxResultBytes = 90;
    let calls = 0;
    const undone: unknown[] = [];
    const definition = saga({
      hotel: {
        run: () => {
          calls++;
          return run();
        },
        undo: ({ outcome, result }) => void undone.push([outcome, result]),
      },
      mail: { run: () => void undone.push('mail was sent') },
    });
    const result = await world.execute(definition);
    expect(result).toMatchObject({ status: 'compensated', results: {}, error: { code, step: 'hotel' } });
    expect(result).toHaveProperty('error.message', expect.stringContaining(message));
    expect(calls).toBe(1);
    expect(undone).toEqual([['completed', undefined]]);
  });

  it('rolls a transactional step back', async () => {
    const world = new SagaWorld();
    const undone: string[] = [];
    const definition = saga({
      book: { transactional: true, retry: false, run: () => new Set(), undo: () => void undone.push('book') },
    });
    const result = await world.execute(definition);
    expect(result).toMatchObject({ status: 'compensated', error: { code: 'SAGAZ_RESULT_NOT_SERIALISABLE' } });
    expect(undone).toEqual([]);
  });

  it('parks the saga when it was the result of a step after the pivot', async () => {
    const world = new SagaWorld();
    const definition = saga({ pay: { pivot: true }, mail: { run: () => () => 1 } });
    expect(await world.execute(definition)).toMatchObject({
      status: 'parked',
      error: { code: 'SAGAZ_RESULT_NOT_SERIALISABLE' },
    });
  });

  it('does not matter for an undo, whose result nobody needs', async () => {
    const world = new SagaWorld();
    const definition = saga({
      hotel: { undo: () => new Map() },
      mail: { run: failing(new NonRetryableError('no')) },
    });
    const { sagaId, status } = await world.execute(definition);
    expect(status).toBe('compensated');
    expect(await world.journal(sagaId)).toEqual([
      'step_completed hotel -> mail',
      'step_failed mail',
      'undo_completed hotel',
    ]);
  });
});

describe('parallel steps of which one fails', () => {
  it("aborts the sibling's signal and waits until it has settled before anything is undone", async () => {
    const world = new SagaWorld();
    const order: string[] = [];
    const definition = saga({
      hotel: {
        dependsOn: [],
        run: async ({ signal }) => {
          await aborted(signal);
          order.push(`hotel aborted: ${(signal.reason as Error).name}`);
          await world.clock.delay(100);
          order.push('hotel settled');
          throw signal.reason;
        },
        undo: ({ outcome }) => void order.push(`hotel undone ${outcome}`),
      },
      rail: { dependsOn: [], undo: () => void order.push('rail undone') },
      flight: { dependsOn: ['rail'], run: failing(new NonRetryableError('no seats')) },
    });
    expect(await world.execute(definition)).toMatchObject({
      status: 'compensated',
      error: { message: 'no seats', step: 'flight' },
    });
    expect(order.slice(0, 2)).toEqual([`hotel aborted: ${SagaCancelledError.name}`, 'hotel settled']);
    expect(order.slice(2).sort()).toEqual(['hotel undone unknown', 'rail undone']);
  });

  it('undoes a success of the sibling that came within its grace, with its result', async () => {
    const world = new SagaWorld();
    const late = new Deferred<string>();
    const undone: unknown[] = [];
    const definition = saga({
      hotel: {
        dependsOn: [],
        run: () => late.promise,
        undo: ({ outcome, result }) => void undone.push([outcome, result]),
      },
      flight: { dependsOn: [], run: failing(new NonRetryableError('no seats')) },
    });
    const { sagaId, done } = await world.start(definition);
    await world.clock.advance(4_999);
    expect(undone).toEqual([]);
    late.resolve('room 7');
    await world.clock.until(done);
    expect(undone).toEqual([['completed', 'room 7']]);
    expect(await world.result(sagaId)).toMatchObject({ status: 'compensated', results: { hotel: 'room 7' } });
  });

  it('does not wait longer than the grace for a sibling that never settles', async () => {
    const world = new SagaWorld();
    const undone: unknown[] = [];
    const definition = saga(
      {
        hotel: {
          dependsOn: [],
          run: never,
          undo: ({ outcome }) => void undone.push([outcome, world.clock.monotonic()]),
        },
        flight: { dependsOn: [], run: failing(new NonRetryableError('no seats')) },
      },
      { settleGrace: '2s' },
    );
    await expect(world.execute(definition)).resolves.toMatchObject({ status: 'compensated' });
    expect(undone).toEqual([['unknown', 2_000]]);
  });

  it('ends the back-off of the sibling at once', async () => {
    const world = new SagaWorld();
    const begun: number[] = [];
    const gate = new Deferred<void>();
    const definition = saga({
      hotel: {
        dependsOn: [],
        retry: { initialInterval: '1h', maxInterval: '1h', jitter: 'none' },
        run: () => {
          begun.push(world.clock.monotonic());
          throw new Error('later, please');
        },
      },
      flight: {
        dependsOn: [],
        run: async () => {
          await gate.promise;
          throw new NonRetryableError('no seats');
        },
      },
    });
    const { sagaId, done } = await world.start(definition);
    await settled();
    gate.resolve();
    await expect(done).resolves.toBe('ended');
    expect(begun).toEqual([0]);
    expect(await world.status(sagaId)).toBe('compensated');
  });

  it('starts no step that had not been started', async () => {
    const world = new SagaWorld();
    const begun: string[] = [];
    const late = new Deferred<void>();
    const definition = saga({
      hotel: { dependsOn: [], run: () => late.promise },
      mail: {
        dependsOn: ['hotel'],
        run: () => void begun.push('mail'),
        undo: () => void begun.push('undo of mail'),
        compensateOn: 'always',
      },
      flight: { dependsOn: [], run: failing(new NonRetryableError('no seats')) },
    });
    const { done } = await world.start(definition);
    await settled();
    late.resolve();
    await world.clock.until(done);
    expect(begun).toEqual([]);
  });
});

describe('undos', () => {
  it('run in reverse order, past a step without one', async () => {
    const world = new SagaWorld();
    const order: string[] = [];
    const undo = ({ step }: Undo) => void order.push(step);
    const definition = saga({
      ...{ hotel: { undo }, look: { readOnly: true }, flight: { undo }, rail: {}, taxi: { undo } },
      mail: { run: failing(new NonRetryableError('no')) },
    });
    await world.execute(definition);
    expect(order).toEqual(['taxi', 'flight', 'hotel']);
  });

  it('are tried again with their own back-off', async () => {
    const world = new SagaWorld();
    const fail = failing(new Error('1'), new Error('2'));
    const at: number[] = [];
    const definition = saga({
      hotel: {
        undo: () => {
          at.push(world.clock.monotonic());
          return fail();
        },
        undoOptions: { retry: { maxAttempts: 3, initialInterval: '1m', maxInterval: '5m' } },
      },
      mail: { run: failing(new NonRetryableError('no')) },
    });
    await expect(world.execute(definition)).resolves.toMatchObject({ status: 'compensated' });
    expect(at).toEqual([0, 60_000, 180_000]);
  });

  it('that give up make the saga failed, with the list of what stands, after every other undo has run', async () => {
    const world = new SagaWorld();
    const undone: string[] = [];
    const undo = ({ step }: Undo) => {
      if (step === 'flight' || step === 'rail') throw new Error(`${step} is not answering`);
      undone.push(step);
    };
    const definition = saga(
      {
        ...{ hotel: { undo }, flight: { undo }, rail: { undo }, taxi: { undo } },
        mail: { run: failing(new NonRetryableError('address unknown')) },
      },
      { compensationRetry: { ...QUICK, maxAttempts: 2 } },
    );
    const result = await world.execute(definition);
    expect(undone).toEqual(['taxi', 'hotel']);
    expect(result).toMatchObject({
      status: 'failed',
      error: {
        code: 'SAGAZ_COMPENSATION_FAILED',
        message:
          'address unknown (undo of flight gave up: flight is not answering; undo of rail gave up: rail is not answering)',
        step: 'mail',
        standing: ['flight', 'rail'],
      },
    });
  });

  it('that never settle do not hold up the saga for ever', async () => {
    const world = new SagaWorld();
    const reasons: unknown[] = [];
    const definition = saga(
      {
        hotel: {
          undo: ({ signal }) => {
            signal.addEventListener('abort', () => reasons.push(signal.reason));
            return never();
          },
          undoOptions: { timeout: '1s', retry: { ...QUICK, maxAttempts: 2 } },
        },
        mail: { run: failing(new NonRetryableError('no')) },
      },
      { settleGrace: '1s' },
    );
    const result = await world.execute(definition);
    expect(result).toMatchObject({ status: 'failed', error: { standing: ['hotel'] } });
    expect(reasons).toEqual([expect.any(StepTimeoutError), expect.any(StepTimeoutError)]);
    expect(world.clock.monotonic()).toBe(4_010);
  });

  it('that run at the same time do not abort each other', async () => {
    const world = new SagaWorld();
    const signals: AbortSignal[] = [];
    const undo = async ({ signal, step }: Undo) => {
      signals.push(signal);
      await world.clock.delay(step === 'hotel' ? 100 : 200);
    };
    const definition = saga({
      hotel: { dependsOn: [], undo },
      flight: { dependsOn: [], undo },
      mail: { dependsOn: ['hotel', 'flight'], run: failing(new NonRetryableError('no')) },
    });
    await expect(world.execute(definition)).resolves.toMatchObject({ status: 'compensated' });
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, false]);
    expect(world.clock.monotonic()).toBe(200);
  });

  it('are not repeated after a NonRetryableError', async () => {
    const world = new SagaWorld();
    let calls = 0;
    const undo = () => {
      calls++;
      throw new NonRetryableError('not possible');
    };
    const definition = saga({ hotel: { undo }, mail: { run: failing(new NonRetryableError('no')) } });
    await expect(world.execute(definition)).resolves.toMatchObject({ status: 'failed' });
    expect(calls).toBe(1);
  });

  it('leave the saga compensated when there was nothing to undo', async () => {
    const world = new SagaWorld();
    const { sagaId, status } = await world.execute(
      saga({ hotel: { run: failing(new NonRetryableError('no')) } }),
    );
    expect(status).toBe('compensated');
    expect(await world.journal(sagaId)).toEqual(['step_failed hotel']);
  });
});

describe('a saga with a pivot', () => {
  const undone: string[] = [];
  const undo = ({ step }: Undo) => void undone.push(step);

  beforeEach(() => {
    undone.length = 0;
  });

  it('retries a step after the pivot beyond its attempts, until it succeeds, and undoes nothing', async () => {
    const world = new SagaWorld();
    const errors = Array.from({ length: 20 }, (_, n) => new Error(`try ${n}`));
    const definition = saga({
      hotel: { undo },
      pay: { pivot: true },
      mail: { run: failing(...errors), retry: 2 },
    });
    await expect(world.execute(definition)).resolves.toMatchObject({
      status: 'completed',
      results: { mail: 'done' },
    });
    expect(undone).toEqual([]);
  });

  it('parks at a NonRetryableError after the pivot, and undoes nothing', async () => {
    const world = new SagaWorld();
    const definition = saga({
      ...{ hotel: { undo, run: () => 'room 7' }, pay: { pivot: true } },
      mail: { run: failing(new NonRetryableError('address unknown')) },
    });
    const result = await world.execute(definition);
    expect(result.results).toEqual({ hotel: 'room 7' });
    expect(result).toMatchObject({
      status: 'parked',
      error: { code: 'SAGAZ_NON_RETRYABLE', message: 'address unknown', step: 'mail' },
    });
    expect(undone).toEqual([]);
  });

  it('parks with the first failure as its reason', async () => {
    const world = new SagaWorld();
    const definition = saga({
      pay: { dependsOn: [], pivot: true },
      mail: { dependsOn: ['pay'], run: failing(new NonRetryableError('address unknown')) },
      ship: {
        dependsOn: ['pay'],
        run: async () => {
          await world.clock.delay(100);
          throw new NonRetryableError('lorry broken');
        },
      },
    });
    const error = { message: 'address unknown', step: 'mail' };
    await expect(world.execute(definition)).resolves.toMatchObject({ status: 'parked', error });
  });

  it('lets steps beside one that parks end, and then parks', async () => {
    const world = new SagaWorld();
    const gate = new Deferred<string>();
    const definition = saga({
      pay: { dependsOn: [], pivot: true },
      mail: { dependsOn: ['pay'], run: failing(new NonRetryableError('address unknown')) },
      ship: { dependsOn: ['pay'], run: () => gate.promise },
      bill: { dependsOn: ['ship'], run: () => 'never billed' },
    });
    const { sagaId, done } = await world.start(definition);
    await settled();
    expect(await world.status(sagaId)).toBe('running');
    gate.resolve('shipped');
    await world.clock.until(done);
    expect(await world.result(sagaId)).toMatchObject({ status: 'parked', results: { ship: 'shipped' } });
    expect(await world.result(sagaId)).not.toHaveProperty('results.bill');
  });

  it('turns back when the pivot is known to have had no effect', async () => {
    const world = new SagaWorld();
    const refused = [1, 2, 3].map(() => new NoEffectError('card refused'));
    const definition = saga({ hotel: { undo }, pay: { pivot: true, run: failing(...refused) }, mail: {} });
    await expect(world.execute(definition)).resolves.toMatchObject({
      status: 'compensated',
      error: { step: 'pay' },
    });
    expect(undone).toEqual(['hotel']);
  });

  it('retries a pivot that may have happened beyond its attempts', async () => {
    const world = new SagaWorld();
    const errors = Array.from({ length: 10 }, () => new Error('time-out'));
    const definition = saga({
      hotel: { undo },
      pay: { pivot: true, run: failing(...errors, new NoEffectError('x')), retry: 2 },
    });
    await expect(world.execute(definition)).resolves.toMatchObject({ status: 'completed' });
    expect(undone).toEqual([]);
  });

  it('parks at a pivot with retry: false that may have happened', async () => {
    const world = new SagaWorld();
    let calls = 0;
    const run = () => {
      if (++calls === 1) throw new Error('time-out');
    };
    const definition = saga({ hotel: { undo }, pay: { pivot: true, run, retry: false } });
    await expect(world.execute(definition)).resolves.toMatchObject({
      status: 'parked',
      error: { step: 'pay' },
    });
    expect(calls).toBe(1);
    expect(undone).toEqual([]);
  });

  it('parks at a pivot that may have happened and may not be repeated', async () => {
    const world = new SagaWorld();
    const definition = saga({
      hotel: { undo },
      pay: { pivot: true, run: failing(new NonRetryableError('who knows')) },
    });
    await expect(world.execute(definition)).resolves.toMatchObject({ status: 'parked' });
    expect(undone).toEqual([]);
  });
});

describe('a fault of the storage', () => {
  it('stops the saga here, without calling it an attempt and without undoing anything', async () => {
    const world = new SagaWorld();
    const called: string[] = [];
    const definition = saga({
      hotel: { run: () => void called.push('hotel'), undo: () => void called.push('undo of hotel') },
      mail: { run: () => void called.push('mail') },
    });
    world.storage.beforeWrite = () => {
      throw new Error('connection lost');
    };
    const { sagaId, done } = await world.start(definition);
    await expect(world.clock.until(done)).rejects.toThrow('connection lost');
    expect(called).toEqual(['hotel']);
    expect(await world.journal(sagaId)).toEqual([]);
    expect(await world.status(sagaId)).toBe('running');
  });

  it('aborts what else of the saga runs, and waits for it', async () => {
    const world = new SagaWorld();
    const seen: unknown[] = [];
    const definition = saga({
      hotel: { dependsOn: [] },
      flight: {
        dependsOn: [],
        run: async ({ signal }) => {
          await aborted(signal);
          seen.push(signal.reason);
          await world.clock.delay(100);
          seen.push('settled');
        },
      },
    });
    const fault = new FencedError('taken over');
    world.storage.beforeWrite = () => {
      throw fault;
    };
    const { done } = await world.start(definition);
    await expect(world.clock.until(done)).rejects.toBe(fault);
    expect(seen).toEqual([fault, 'settled']);
  });
});
