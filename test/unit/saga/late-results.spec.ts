import { Deferred } from '../../../lib/runtime/deferred.js';
import type { SagaDefinition } from '../../../lib/saga/definition/saga-definition.js';
import { FencedError } from '../../../lib/saga/state/errors.js';
import type { SagaWrite } from '../../../lib/saga/saga-storage.js';
import { settled } from '../../support/fake-clock.js';
import { QUICK, saga, SagaWorld, type Action, type TestStep, type Undo } from '../../support/saga-world.js';

const FAST = { timeout: 100 } as const;
const GRACE = { settleGrace: 50 } as const;

/** Notes what undos are told. */
function undos() {
  const told: unknown[] = [];
  const undo = ({ outcome, result }: Undo) => void told.push([outcome, result]);
  return { told, undo };
}

type Charge = Required<Pick<TestStep, 'run' | 'undo'>> & { readonly attempts: number };

/** A step that every later owner fails, and whose probe never finds its effect. */
function charge({ run, undo, attempts }: Charge): SagaDefinition {
  const step: TestStep = {
    ...{ ...FAST, undo, retry: { ...QUICK, maxAttempts: attempts }, probe: () => ({ outcome: 'failed' }) },
    run: (ctx) => {
      if (ctx.fencingToken > 1) throw Object.assign(new Error('refused'), { status: 422 });
      return run(ctx);
    },
  };
  return saga({ charge: step }, { ...GRACE });
}

/** Until it is aborted. */
const forEver = ({ signal }: Action) =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error));
  });

const has = (kind: string) => (write: SagaWrite) => write.entries.some((entry) => entry.kind === kind);

describe('a success that comes when its step was given up', () => {
  it('is told to the undo, even if it comes while the giving up is being written', async () => {
    const world = new SagaWorld();
    const [effect, reached, written] = [new Deferred<string>(), new Deferred<void>(), new Deferred<void>()];
    const { told, undo } = undos();
    const definition = saga(
      { charge: { ...FAST, retry: false, run: () => effect.promise, undo } },
      { ...GRACE },
    );
    world.storage.beforeWrite = (write) => {
      if (!has('step_failed')(write)) return undefined;
      reached.resolve();
      return written.promise;
    };
    const run = await world.start(definition);
    await world.clock.advance(150);
    await reached.promise;
    effect.resolve('charge 1');
    await settled();
    written.resolve();
    await world.clock.until(run.done);
    expect(told.at(-1)).toEqual(['completed', 'charge 1']);
  });

  it('is not lost for a fence that comes while the step is tried again', async () => {
    const world = new SagaWorld();
    const first = new Deferred<string>();
    const { told, undo } = undos();
    let calls = 0;
    const run = (ctx: Action) => (++calls === 1 ? first.promise : forEver(ctx));
    const definition = charge({ run, undo, attempts: 2 });
    const one = await world.start(definition);
    await world.clock.advance(161);
    expect(calls).toBe(2);
    const two = await world.takeOver(one.sagaId, definition);
    await world.clock.until(two.done);
    first.resolve('charge 1');
    await settled();
    one.runner.lostTrack(new FencedError('taken'));
    await expect(world.clock.until(one.done)).rejects.toThrow(FencedError);
    await settled();
    await world.clock.until(Promise.allSettled(world.reopened.map(({ done }) => done)));
    expect(told.at(-1)).toEqual(['completed', 'charge 1']);
  });

  it('completes its step in a drain, in which the next attempt ends without one', async () => {
    const world = new SagaWorld();
    const first = new Deferred<string>();
    let calls = 0;
    const definition = saga(
      {
        charge: {
          ...FAST,
          retry: { ...QUICK, maxAttempts: 2 },
          run: (ctx) => (++calls === 1 ? first.promise : forEver(ctx)),
        },
        mail: {},
      },
      { ...GRACE },
    );
    const one = await world.start(definition);
    await world.clock.advance(161);
    expect(calls).toBe(2);
    first.resolve('charge 1');
    await settled();
    one.runner.drain();
    one.runner.stop();
    await world.clock.until(one.done);
    const kinds = (await world.storage.journal(one.sagaId)).map(({ kind, data }) => [kind, data]);
    expect(kinds).toContainEqual(['step_completed', '"charge 1"']);
  });

  it('is told anew when the write that tells of it is refused', async () => {
    const world = new SagaWorld();
    const effect = new Deferred<string>();
    const { told, undo } = undos();
    const held = new Deferred<void>();
    const definition = saga(
      {
        room: {
          // Still being undone by the first process when the second one takes over.
          undo: ({ fencingToken }) => (fencingToken === 1 ? held.promise : undefined),
        },
        charge: { ...FAST, retry: false, run: () => effect.promise, undo },
      },
      { ...GRACE },
    );
    const one = await world.start(definition);
    await world.clock.advance(151);
    await settled();
    const two = await world.takeOver(one.sagaId, definition);
    await world.clock.until(two.done);
    expect(await world.status(one.sagaId)).toBe('compensated');
    effect.resolve('charge 1');
    await settled();
    await world.clock.until(Promise.allSettled(world.reopened.map(({ done }) => done)));
    expect(told.at(-1)).toEqual(['completed', 'charge 1']);
  });

  it('is told when a probe has found it, too: the next owner may have asked too early', async () => {
    const world = new SagaWorld();
    const { told, undo } = undos();
    const [reached, written] = [new Deferred<void>(), new Deferred<void>()];
    const answers = ['completed', 'failed'] as const;
    let asked = 0;
    const definition = saga({
      charge: {
        retry: false,
        run: () => new Promise(() => undefined),
        undo,
        probe: () => ({ outcome: answers[asked++] ?? 'unknown', result: 'charge 1' }),
      },
    });
    const one = await world.start(definition);
    await settled();
    world.kill(one);
    const refuse = world.storage.beforeWrite;
    // It is frozen while it writes what its probe has found.
    world.storage.beforeWrite = (write) => {
      if (write.epoch !== 2 || !has('step_completed')(write)) return refuse(write);
      reached.resolve();
      return written.promise;
    };
    const two = await world.takeOver(one.sagaId, definition);
    await world.clock.until(reached.promise);
    const three = await world.takeOver(one.sagaId, definition, 'three');
    await world.clock.until(three.done);
    expect(told).toEqual([]);
    written.resolve();
    await expect(world.clock.until(two.done)).rejects.toThrow(FencedError);
    await settled();
    await world.clock.until(Promise.allSettled(world.reopened.map(({ done }) => done)));
    expect(told).toEqual([['completed', 'charge 1']]);
  });

  it('is not lost when it comes while a process that woke up asks whether the saga is still its own', async () => {
    const world = new SagaWorld();
    const first = new Deferred<string>();
    const { told, undo } = undos();
    let calls = 0;
    const run = () => {
      calls += 1;
      return first.promise;
    };
    const definition = charge({ run, undo, attempts: 3 });
    const answered = new Deferred<void>();
    const { taken } = world.storage;
    world.storage.taken = async (claims) => {
      if (claims[0]?.epoch === 1) await answered.promise;
      return taken.call(world.storage, claims);
    };
    const one = await world.start(definition);
    await world.clock.advance(160);
    const two = await world.takeOver(one.sagaId, definition);
    await world.clock.until(two.done);
    expect(await world.status(one.sagaId)).toBe('compensated');
    first.resolve('charge 1');
    await settled();
    answered.resolve();
    await expect(world.clock.until(one.done)).rejects.toThrow(FencedError);
    await settled();
    await world.clock.until(Promise.allSettled(world.reopened.map(({ done }) => done)));
    expect(calls).toBe(1);
    expect(told.at(-1)).toEqual(['completed', 'charge 1']);
  });

  it('counts once, though two come and the process is drained', async () => {
    const world = new SagaWorld();
    const late = [new Deferred<string>(), new Deferred<string>()];
    const [reached, written] = [new Deferred<void>(), new Deferred<void>()];
    let calls = 0;
    const definition = saga(
      {
        charge: { ...FAST, retry: { ...QUICK, maxAttempts: 3 }, run: () => late[calls++]?.promise },
        mail: {},
      },
      { ...GRACE },
    );
    world.storage.beforeWrite = (write) => {
      if (!has('step_completed')(write)) return undefined;
      reached.resolve();
      return written.promise;
    };
    const one = await world.start(definition);
    await world.clock.advance(160 + 150);
    expect(calls).toBe(2);
    late[0]?.resolve('charge 1');
    await reached.promise;
    late[1]?.resolve('charge 2');
    await settled();
    one.runner.drain();
    written.resolve();
    await world.clock.until(one.done);
    const ended = (await world.storage.journal(one.sagaId)).filter(({ kind }) => kind === 'step_completed');
    expect(ended.map(({ data }) => data)).toEqual(['"charge 1"']);
  });
});
