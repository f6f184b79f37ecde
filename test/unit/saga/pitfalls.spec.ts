import type { SagaDefinition } from '../../../lib/saga/definition/saga-definition.js';
import { ClassicSaga } from '../../../lib/saga/definition/classic-saga.js';
import type { SagaDefaults } from '../../../lib/saga/definition/saga-options.js';
import { NonRetryableError } from '../../../lib/saga/state/errors.js';
import { settled } from '../../support/fake-clock.js';
import {
  processOf,
  QUICK,
  saga,
  SagaWorld,
  type Action,
  type TestStep,
  type TestSteps,
  type Undo,
} from '../../support/saga-world.js';

/* What other systems of this kind do wrong (the numbers are those of the design's list of pitfalls), for both ways of
 * defining a saga: there is one engine behind them. */

type Define = (steps: TestSteps, options?: SagaDefaults) => SagaDefinition;

function classic(steps: TestSteps, options: SagaDefaults = {}): SagaDefinition {
  const quick = { retry: QUICK, compensationRetry: QUICK, ...options };
  const empty = new ClassicSaga<Record<string, unknown>, Record<string, unknown>>('trip', quick);
  const built = Object.entries(steps).reduce(
    (builder, [name, step]) => builder.step(name, asClassic(step)),
    empty,
  );
  return built.build() as unknown as SagaDefinition;
}

function asClassic({ run, undo, undoOptions, probe: _, name: __, ...options }: TestStep) {
  return {
    ...options,
    action: (ctx: unknown) => run?.(ctx as Action),
    compensation: undo && ((ctx: unknown) => undo(ctx as Undo)),
    compensationOptions: undoOptions,
  };
}

const refuse = () => {
  throw new NonRetryableError('no');
};

describe.each<[string, Define]>([
  ['a saga of decorated methods', saga],
  ['a ClassicSaga', classic],
])('%s', (_form, define) => {
  it('1: does not stay as it is for ever when its process crashes between two steps', async () => {
    const world = new SagaWorld();
    const done: string[] = [];
    const run = ({ step, fencingToken }: Action) => void done.push(`${step} ${fencingToken}`);
    const definition = define({
      hotel: { run, undo: () => undefined },
      flight: { run: (ctx) => (ctx.fencingToken === 1 ? world.clock.delay(60_000) : run(ctx)) },
    });
    await world.workers.heartbeat({ id: 'one', relays: false, leaseMs: 10_000 });
    const one = await world.start(definition);
    await settled();
    world.kill(one);
    await world.clock.advance(10_001);
    const two = await world.takeOver(one.sagaId, definition);
    await world.clock.until(two.done);
    expect(await world.status(one.sagaId)).toBe('completed');
    expect(done).toEqual(['hotel 1', 'flight 2']);
  });

  it('2: is not stored as rolled back when an undo has failed, and runs the other undos all the same', async () => {
    const world = new SagaWorld();
    const undone: string[] = [];
    const undo = ({ step }: Undo) => {
      if (step === 'flight') throw new Error('airline is down');
      undone.push(step);
    };
    const definition = define({ hotel: { undo }, flight: { undo }, taxi: { undo }, mail: { run: refuse } });
    await expect(world.execute(definition)).resolves.toMatchObject({
      status: 'failed',
      error: { code: 'SAGAZ_COMPENSATION_FAILED', standing: ['flight'] },
    });
    expect(undone).toEqual(['taxi', 'hotel']);
  });

  it('3: refunds a charge that timed out after its effect, however often it was tried', async () => {
    const world = new SagaWorld();
    const ledger = { charged: 0, refunded: 0, keys: new Set<string>() };
    const definition = define({
      charge: {
        ...{ timeout: 100, retry: { ...QUICK, maxAttempts: 4 } },
        run: async ({ idempotencyKey }) => {
          ledger.charged++;
          ledger.keys.add(idempotencyKey);
          await world.clock.delay(1_000_000);
        },
        undo: ({ outcome }) => {
          ledger.refunded++;
          expect(outcome).toBe('unknown');
        },
      },
    });
    await expect(world.execute(definition)).resolves.toMatchObject({
      status: 'compensated',
      error: { code: 'SAGAZ_STEP_TIMEOUT', step: 'charge' },
    });
    expect(ledger).toMatchObject({ charged: 4, refunded: 1 });
    expect(ledger.keys.size).toBe(1);
  });

  it('4: keeps to the retry policy of a step and of its undo', async () => {
    const world = new SagaWorld();
    const at: string[] = [];
    const failing = (name: string) => () => {
      at.push(`${name} ${world.clock.monotonic()}`);
      throw new Error('again');
    };
    const pace = { initialInterval: 100, multiplier: 3, maxInterval: 200, jitter: 'none' } as const;
    const definition = define({
      hotel: { undo: failing('undo'), undoOptions: { retry: { ...pace, maxAttempts: 2 } } },
      flight: { run: failing('flight'), retry: { ...pace, maxAttempts: 3 } },
    });
    await expect(world.execute(definition)).resolves.toMatchObject({ status: 'failed' });
    expect(at).toEqual(['flight 0', 'flight 100', 'flight 300', 'undo 300', 'undo 400']);
  });

  it('5: keeps the order of undos past a step without one', async () => {
    const world = new SagaWorld();
    const trace: string[] = [];
    const undo = async ({ step }: Undo) => {
      trace.push(`begin ${step}`);
      await world.clock.delay(10);
      trace.push(`end ${step}`);
    };
    const definition = define({ hotel: { undo }, look: {}, flight: { undo }, mail: { run: refuse } });
    await world.execute(definition);
    expect(trace).toEqual(['begin flight', 'end flight', 'begin hotel', 'end hotel']);
  });

  it('6: runs twice at once without mixing the two, and nothing of one run is left in the next', async () => {
    const world = new SagaWorld();
    const seen: unknown[] = [];
    const definition = define({
      hotel: {
        run: async ({ input, results }) => {
          expect(results).toEqual({});
          (input as { guest: string; seen?: boolean }).seen = true;
          await world.clock.delay(input.guest === 'ann' ? 20 : 10);
          return input.guest;
        },
      },
      flight: { run: ({ input, results }) => void seen.push([input, results]) },
    });
    const [ann, bob] = [
      await world.start(definition, { guest: 'ann' }),
      await world.start(definition, { guest: 'bob' }),
    ];
    await world.clock.until(Promise.all([ann.done, bob.done]));
    await world.execute(definition, { guest: 'cid' });
    expect(seen).toEqual([
      [{ guest: 'bob' }, { hotel: 'bob' }],
      [{ guest: 'ann' }, { hotel: 'ann' }],
      [{ guest: 'cid' }, { hotel: 'cid' }],
    ]);
  });

  it('7: gives the action a key that is the same in every attempt, and the undo one of its own', async () => {
    const world = new SagaWorld();
    const keys: string[] = [];
    const definition = define({
      charge: {
        run: ({ idempotencyKey, attempt }) => {
          keys.push(idempotencyKey);
          if (attempt < 3) throw new Error('reply lost');
        },
        undo: ({ idempotencyKey }) => void keys.push(idempotencyKey),
      },
      mail: { run: refuse },
    });
    const { sagaId, done } = await world.start(definition);
    await world.clock.until(done);
    expect(keys).toEqual([...Array<string>(3).fill(`${sagaId}:charge`), `${sagaId}:charge:undo`]);
  });

  it('8: cancels what has timed out, and does not hang for ever on an undo that does', async () => {
    const world = new SagaWorld();
    const reasons: unknown[] = [];
    const hang = (ctx: Action | Undo) => {
      ctx.signal.addEventListener('abort', () => reasons.push((ctx.signal.reason as Error).name));
      return world.clock.delay(1e9);
    };
    const undoOptions = { timeout: 50, retry: false } as const;
    const definition = define({ charge: { run: hang, undo: hang, undoOptions, timeout: 100, retry: false } });
    await expect(world.execute(definition)).resolves.toMatchObject({
      status: 'failed',
      error: { standing: ['charge'] },
    });
    expect(reasons).toHaveLength(2);
  });

  it('9: is started once by five equal starts at the same time', async () => {
    const world = new SagaWorld();
    let runs = 0;
    const definition = define({ charge: { run: () => void runs++ } });
    const { orchestrator, lease } = processOf(world, definition, 'one');
    await lease.start();
    const start = () => orchestrator.execute('trip', { order: 7 }, { idempotencyKey: 'order-7' });
    const results = await world.clock.until(Promise.all(Array.from({ length: 5 }, start)));
    expect(new Set(results.map(({ sagaId }) => sagaId)).size).toBe(1);
    expect(runs).toBe(1);
    await lease.stop(true);
  });

  it('10: refuses an input that JSON cannot hold before any effect, and undoes a step whose result it cannot hold', async () => {
    const world = new SagaWorld();
    const trace: string[] = [];
    const definition = define({
      charge: {
        run: ({ input }) => {
          trace.push('charged');
          return { amount: input.bad === true ? Number.NaN : 1 };
        },
        undo: ({ outcome }) => void trace.push(`refunded what was ${outcome}`),
      },
    });
    const { orchestrator, lease } = processOf(world, definition, 'one');
    await lease.start();
    await expect(orchestrator.execute('trip', { when: new Map() })).rejects.toMatchObject({
      code: 'SAGAZ_INVALID_INPUT',
      message: expect.stringContaining('input.when') as string,
    });
    expect(trace).toEqual([]);
    const result = await world.clock.until(orchestrator.execute('trip', { bad: true }));
    expect(result).toMatchObject({
      status: 'compensated',
      error: { code: 'SAGAZ_RESULT_NOT_SERIALISABLE', message: expect.stringContaining('amount') as string },
    });
    expect(trace).toEqual(['charged', 'refunded what was completed']);
    await lease.stop(true);
  });

  it('11: is undone by a process whose forward code is broken', async () => {
    const world = new SagaWorld();
    const undone: unknown[] = [];
    const undo = ({ step, result }: Undo) => void undone.push([step, result]);
    const before = define({
      hotel: { run: () => 'room 7', undo },
      flight: { run: () => world.clock.delay(1e6), undo, retry: false },
    });
    const broken = () => {
      throw new TypeError('this code is gone');
    };
    const after = define({ hotel: { run: broken, undo }, flight: { run: broken, undo, retry: false } });
    await world.workers.heartbeat({ id: 'one', relays: false, leaseMs: 10_000 });
    const one = await world.start(before);
    await settled();
    world.kill(one);
    await world.clock.advance(10_001);
    const two = await world.takeOver(one.sagaId, after);
    await world.clock.until(two.done);
    expect(await world.status(one.sagaId)).toBe('compensated');
    expect(undone).toEqual([
      ['flight', undefined],
      ['hotel', 'room 7'],
    ]);
  });

  it('13: ends the same when whoever watches it throws', async () => {
    const world = new SagaWorld();
    const broken = () => {
      throw new Error('the log is full');
    };
    Object.assign(world.log, { log: broken, warn: broken, error: broken });
    let attempts = 0;
    const definition = define({
      hotel: {
        run: () => {
          if (++attempts === 1) throw new Error('again');
        },
        undo: refuse,
      },
      mail: { run: ({ input }) => (input.fails === true ? refuse() : undefined) },
    });
    await expect(world.execute(definition)).resolves.toMatchObject({ status: 'completed' });
    const { runner, done } = await world.start(definition, { fails: true });
    await world.clock.until(done);
    expect(runner.state().status).toBe('failed');
  });
});
