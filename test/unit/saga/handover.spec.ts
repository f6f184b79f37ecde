import { Deferred } from '../../../lib/runtime/deferred.js';
import type { SagaDefinition } from '../../../lib/saga/definition/saga-definition.js';
import {
  CommitUnknownError,
  FencedError,
  NonRetryableError,
  TransactionRequiredError,
} from '../../../lib/saga/state/errors.js';
import type { ReleaseRecord } from '../../../lib/saga/state/journal.js';
import { settled } from '../../support/fake-clock.js';
import {
  processOf,
  QUICK,
  saga,
  SagaWorld,
  type Action,
  type TestRun,
  type Undo,
} from '../../support/saga-world.js';

const never = () => new Promise<never>(() => undefined);

const refused = () => Object.assign(new Error('refused'), { status: 422 });

/** Ends in the error of its abort. */
const abortable = ({ signal }: Action) =>
  new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error));
  });

async function releases(world: SagaWorld, sagaId: string): Promise<ReleaseRecord[]> {
  const entries = await world.storage.journal(sagaId);
  return entries
    .filter(({ kind }) => kind === 'released')
    .map(({ data }) => JSON.parse(data ?? '') as ReleaseRecord);
}

/** Undos, with what they were told and when. */
function undos(world: SagaWorld) {
  const undone: unknown[] = [];
  const undo = ({ step, outcome }: Undo) => void undone.push([step, outcome, world.clock.monotonic()]);
  return { undone, undo };
}

describe('a step that may run once only', () => {
  it('is run by the next owner, and nothing is undone, when it was launched in the moment of a drain', async () => {
    const world = new SagaWorld();
    const { undone, undo } = undos(world);
    const attempts: number[] = [];
    const definition = saga({
      hotel: { undo },
      charge: { retry: false, undo, run: ({ attempt }) => void attempts.push(attempt) },
    });
    const stored = new Deferred<void>();
    world.storage.beforeWrite = () => stored.promise;
    const one = await world.start(definition);
    await settled();
    one.runner.drain();
    stored.resolve();
    await expect(world.clock.until(one.done)).resolves.toBe('released');
    expect(attempts).toEqual([]);
    expect(await world.journal(one.sagaId)).toEqual(['step_completed hotel -> charge', 'released']);
    expect(await releases(world, one.sagaId)).toEqual([{ unrun: ['charge'], cut: [] }]);

    const two = await world.takeOver(one.sagaId, definition);
    await expect(world.clock.until(two.done)).resolves.toBe('ended');
    expect(attempts).toEqual([1]);
    expect(undone).toEqual([]);
    expect(await world.status(one.sagaId)).toBe('completed');
  });

  it('keeps its attempt through three drains in a row that cut it short', async () => {
    const world = new SagaWorld();
    const { undone, undo } = undos(world);
    const attempts: number[] = [];
    const run = (ctx: Action) => {
      attempts.push(ctx.attempt);
      return attempts.length <= 3 ? abortable(ctx) : 'charged';
    };
    const definition = saga({ hotel: { undo }, charge: { retry: false, undo, run } });
    let current: TestRun = await world.start(definition);
    for (const next of ['two', 'three', 'four']) {
      await settled();
      current.runner.drain();
      current.runner.stop();
      await expect(world.clock.until(current.done)).resolves.toBe('released');
      current = await world.takeOver(current.sagaId, definition, next);
    }
    await expect(world.clock.until(current.done)).resolves.toBe('ended');
    expect(attempts).toEqual([1, 1, 1, 1]);
    expect(undone).toEqual([]);
    expect(await world.status(current.sagaId)).toBe('completed');
    const cut = { unrun: [], cut: ['charge'] };
    expect(await releases(world, current.sagaId)).toEqual([cut, cut, cut]);
  });

  it('is undone as unknown when it is refused after a drain had cut it short: it may have happened', async () => {
    const world = new SagaWorld();
    const { undone, undo } = undos(world);
    const run = (ctx: Action) => {
      if (ctx.fencingToken > 1) throw refused();
      return abortable(ctx);
    };
    const definition = saga({ charge: { retry: false, undo, run } });
    const one = await world.start(definition);
    await settled();
    one.runner.drain();
    one.runner.stop();
    await world.clock.until(one.done);
    const two = await world.takeOver(one.sagaId, definition);
    await world.clock.until(two.done);
    expect(undone).toEqual([['charge', 'unknown', 0]]);
  });

  it('is not launched by a saga that was handed to a process in its drain, and is run by the next owner', async () => {
    const world = new SagaWorld();
    const { undone, undo } = undos(world);
    const attempts: number[] = [];
    const definition = saga({
      charge: { retry: false, undo, run: ({ attempt }) => void attempts.push(attempt) },
    });
    const one = processOf(world, definition, 'one');
    await one.lease.start();
    const created = new Deferred<void>();
    const create = world.storage.create.bind(world.storage);
    world.storage.create = async (...args) => {
      const result = await create(...args);
      await created.promise;
      return result;
    };
    const started = one.orchestrator.start(definition, {});
    await settled();
    const stopped = one.worker.stop(1_000);
    created.resolve();
    const { sagaId } = await started;
    await expect(world.clock.until(stopped)).resolves.toBe(0);
    await one.lease.stop(true);
    expect(attempts).toEqual([]);
    expect(world.database.sagas.get(sagaId)?.owner).toBeUndefined();

    const two = await world.takeOver(sagaId, definition);
    await world.clock.until(two.done);
    expect(attempts).toHaveLength(1);
    expect(undone).toEqual([]);
    expect(await world.status(sagaId)).toBe('completed');
  });
});

describe('a process that takes over from a dead one and is drained at once', () => {
  async function passOn(retry: number | false) {
    const world = new SagaWorld();
    const { undone, undo } = undos(world);
    const tokens: number[] = [];
    const run = ({ fencingToken }: Action) => {
      tokens.push(fencingToken);
      if (fencingToken === 1) return never();
      throw refused();
    };
    const definition = saga({
      charge: {
        undo,
        run,
        timeout: '20s',
        retry: retry === false ? false : { ...QUICK, maxAttempts: retry },
      },
    });
    await world.workers.heartbeat({ id: 'one', relays: false, leaseMs: 10_000 });
    const one = await world.start(definition);
    await settled();
    world.kill(one);
    await world.clock.advance(11_000);
    const two = world.go(await world.claim(one.sagaId, definition), definition);
    two.runner.drain();
    await expect(world.clock.until(two.done)).resolves.toBe('released');
    const three = await world.takeOver(one.sagaId, definition, 'three');
    await world.clock.until(three.done);
    return { world, undone, tokens, sagaId: one.sagaId };
  }

  it('keeps that the lost attempt may have happened: it is undone although it is refused now', async () => {
    const { undone } = await passOn(2);
    expect(undone).toEqual([['charge', 'unknown', expect.any(Number)]]);
  });

  it('does not make the next owner repeat a step that may run once only', async () => {
    const { tokens, undone } = await passOn(false);
    expect(tokens).toEqual([1]);
    expect(undone).toEqual([['charge', 'unknown', expect.any(Number)]]);
  });

  it('does not make the next owner undo before the time of the lost attempt is up', async () => {
    const { undone } = await passOn(2);
    expect(undone).toHaveLength(1);
    const [[, , at]] = undone as [[string, string, number]];
    expect(at).toBeGreaterThanOrEqual(33_000);
  });
});

describe('a saga that was claimed from a dead process just before the drain', () => {
  it('keeps the time of the lost attempt: its undo does not begin at once', async () => {
    const world = new SagaWorld();
    const { undone, undo } = undos(world);
    const definition = saga({ charge: { undo, run: never, timeout: '20s', retry: false } });
    await world.workers.heartbeat({ id: 'one', relays: false, leaseMs: 10_000 });
    const lost = await world.start(definition);
    await settled();
    world.kill(lost);
    await world.clock.advance(11_000);
    const two = processOf(world, definition, 'two');
    await two.lease.start();
    const claimed = await world.claim(lost.sagaId, definition);
    two.executor.close();
    two.executor.accept(claimed);
    await world.clock.until(two.executor.idle());
    await two.lease.stop(true);
    const three = await world.takeOver(lost.sagaId, definition, 'three');
    await world.clock.until(three.done);
    expect(undone).toHaveLength(1);
    const [[, outcome, at]] = undone as [[string, string, number]];
    expect(outcome).toBe('unknown');
    expect(at).toBeGreaterThanOrEqual(33_000);
  });
});

describe('the undo of an action that was lost with its process', () => {
  it('waits anew, from its own claim, after the second owner has died too', async () => {
    const world = new SagaWorld();
    const { undone, undo } = undos(world);
    const definition = saga({ charge: { undo, run: never, timeout: '20s', retry: false } });
    await world.workers.heartbeat({ id: 'one', relays: false, leaseMs: 10_000 });
    const one = await world.start(definition);
    await settled();
    world.kill(one);
    await world.clock.advance(11_000);
    await world.workers.heartbeat({ id: 'two', relays: false, leaseMs: 10_000 });
    const two = await world.takeOver(one.sagaId, definition);
    await settled();
    world.kill(two);
    await world.clock.advance(15_000);
    const three = await world.takeOver(one.sagaId, definition, 'three');
    await world.clock.until(three.done);
    expect(undone).toEqual([['charge', 'unknown', 26_000 + 20_000 + 5_000 + 8_000]]);
  });

  it('waits for the sibling of a failed step too, less the silence of its process', async () => {
    const world = new SagaWorld();
    const { undone, undo } = undos(world);
    const definition = saga({
      hotel: { dependsOn: [], run: never, undo, timeout: '20s' },
      flight: {
        dependsOn: [],
        run: () => {
          throw new NonRetryableError('no seats');
        },
      },
    });
    await world.workers.heartbeat({ id: 'one', relays: false, leaseMs: 10_000 });
    const one = await world.start(definition);
    await settled();
    world.kill(one);
    await world.clock.advance(11_000);
    const two = await world.takeOver(one.sagaId, definition);
    await world.clock.until(two.done);
    expect(undone).toEqual([['hotel', 'unknown', 33_000]]);
  });

  it('does not wait for a transactional one, which cannot commit any more', async () => {
    const world = new SagaWorld();
    const { undone, undo } = undos(world);
    const definition = saga({
      hotel: { undo },
      book: {
        transactional: true,
        run: ({ fencingToken }) => {
          if (fencingToken > 1) throw new NonRetryableError('sold out');
          return never();
        },
        undo,
      },
    });
    await world.workers.heartbeat({ id: 'one', relays: false, leaseMs: 10_000 });
    const one = await world.start(definition);
    await settled();
    world.kill(one);
    await world.clock.advance(11_000);
    const two = await world.takeOver(one.sagaId, definition);
    await world.clock.until(two.done);
    expect(undone).toEqual([['hotel', 'completed', 11_000]]);
  });
});

describe('a process whose lease has run out', () => {
  it('begins no further attempt, undoes nothing, and leaves the saga to another', async () => {
    const world = new SagaWorld();
    const { undone, undo } = undos(world);
    const tokens: number[] = [];
    const run = ({ fencingToken }: Action) => {
      tokens.push(fencingToken);
      if (fencingToken === 1) throw new Error('once more');
      return 'charged';
    };
    const definition = saga({ charge: { run, undo } });
    const one = await world.start(definition);
    await settled();
    world.remainingMs = 0;
    await expect(world.clock.until(one.done)).rejects.toBeInstanceOf(FencedError);
    expect([tokens, undone]).toEqual([[1], []]);
    expect(await world.journal(one.sagaId)).toEqual([]);

    world.remainingMs = Infinity;
    const two = await world.takeOver(one.sagaId, definition);
    await world.clock.until(two.done);
    expect(tokens).toEqual([1, 2]);
    expect(await world.status(one.sagaId)).toBe('completed');
  });

  it('begins neither the next step nor an undo', async () => {
    const world = new SagaWorld();
    const calls: string[] = [];
    const expire = () => {
      world.remainingMs = 0;
    };
    const next = saga({ hotel: { run: expire }, mail: { run: () => void calls.push('mail') } });
    const one = await world.start(next);
    await expect(world.clock.until(one.done)).rejects.toBeInstanceOf(FencedError);

    world.remainingMs = Infinity;
    const back = saga({
      hotel: { undo: () => void calls.push('undo') },
      mail: {
        run: () => {
          expire();
          throw new NonRetryableError('no');
        },
      },
    });
    const two = await world.start(back);
    await expect(world.clock.until(two.done)).rejects.toBeInstanceOf(FencedError);
    expect(calls).toEqual([]);
  });
});

describe('a write whose reply is lost', () => {
  it('stops every later write of the saga in this process, and is found by the next owner', async () => {
    const world = new SagaWorld();
    const calls: string[] = [];
    const late = new Deferred<string>();
    const run = ({ step, fencingToken }: Action) => {
      calls.push(`${step} ${fencingToken}`);
      return step === 'flight' && fencingToken === 1 ? late.promise : step;
    };
    const definition = saga({
      hotel: { dependsOn: [], run },
      flight: { dependsOn: [], run },
      mail: { dependsOn: ['hotel', 'flight'], run },
    });
    let writes = 0;
    world.storage.beforeWrite = () => void writes++;
    world.storage.afterWrite = () => {
      throw new Error('connection lost');
    };
    const one = await world.start(definition);
    await settled();
    expect(writes).toBe(1);
    world.storage.afterWrite = () => undefined;
    late.resolve('seat 1A');
    await expect(world.clock.until(one.done)).rejects.toThrow('connection lost');
    expect(writes).toBe(1);
    expect(await world.journal(one.sagaId)).toEqual(['step_completed hotel']);

    const two = await world.takeOver(one.sagaId, definition);
    await world.clock.until(two.done);
    expect(calls).toEqual(['hotel 1', 'flight 1', 'flight 2', 'mail 2']);
    expect(await world.status(one.sagaId)).toBe('completed');
  });

  it('does not run a transactional step again whose COMMIT had happened', async () => {
    const world = new SagaWorld();
    const calls: string[] = [];
    const run = ({ step, fencingToken }: Action) => void calls.push(`${step} ${fencingToken}`);
    const definition = saga({ book: { transactional: true, run }, mail: { run } });
    world.storage.afterWrite = () => {
      throw new CommitUnknownError('no reply to COMMIT');
    };
    const one = await world.start(definition);
    await expect(world.clock.until(one.done)).rejects.toBeInstanceOf(CommitUnknownError);
    world.storage.afterWrite = () => undefined;
    const two = await world.takeOver(one.sagaId, definition);
    await world.clock.until(two.done);
    expect(calls).toEqual(['book 1', 'mail 2']);
  });
});

describe('a saga that will be parked once the step beside the one that failed has settled', () => {
  const fork = (ship: (ctx: Action) => unknown): SagaDefinition =>
    saga({
      pay: { dependsOn: [], pivot: true },
      mail: {
        dependsOn: ['pay'],
        run: () => {
          throw new NonRetryableError('address unknown');
        },
      },
      ship: { dependsOn: ['pay'], run: ship, retry: { ...QUICK, maxAttempts: 3 } },
    });
  const parked = { status: 'parked', error: { message: 'address unknown', step: 'mail' } };

  it('gives that step no unlimited retry', async () => {
    const world = new SagaWorld();
    let calls = 0;
    const definition = fork(() => {
      calls++;
      throw new Error('lorry broken');
    });
    expect(await world.execute(definition)).toMatchObject(parked);
    expect(calls).toBe(3);
  });

  it('ends when that step has succeeded, and not before', async () => {
    const world = new SagaWorld();
    const gate = new Deferred<string>();
    const { sagaId, done } = await world.start(fork(() => gate.promise));
    await settled();
    expect(await world.status(sagaId)).toBe('running');
    gate.resolve('shipped');
    await world.clock.until(done);
    expect(await world.result(sagaId)).toMatchObject({ ...parked, results: { ship: 'shipped' } });
  });

  it('is parked by the next owner when its process dies before that', async () => {
    const world = new SagaWorld();
    const definition = fork(never);
    const one = await world.start(definition);
    await settled();
    world.kill(one);
    const two = await world.takeOver(one.sagaId, definition);
    await expect(world.clock.until(two.done)).resolves.toBe('ended');
    expect(await world.result(one.sagaId)).toMatchObject(parked);
  });

  it('is parked by the next owner when its process is drained before that', async () => {
    const world = new SagaWorld();
    const definition = fork(abortable);
    const one = await world.start(definition);
    await settled();
    one.runner.drain();
    one.runner.stop();
    await expect(world.clock.until(one.done)).resolves.toBe('released');
    const two = await world.takeOver(one.sagaId, definition);
    await expect(world.clock.until(two.done)).resolves.toBe('ended');
    expect(await world.result(one.sagaId)).toMatchObject(parked);
  });
});

describe('a handler that ignores its abort', () => {
  function stubborn(world: SagaWorld) {
    const tokens: number[] = [];
    const definition = saga(
      {
        hotel: {
          run: ({ fencingToken }) => {
            tokens.push(fencingToken);
            return fencingToken === 1 ? never() : 'room 7';
          },
        },
      },
      { settleGrace: '1s' },
    );
    return { tokens, definition, one: processOf(world, definition, 'one') };
  }

  it('makes the drain tell that it may still run, and keeps the saga until the lease has run out', async () => {
    const world = new SagaWorld();
    const { tokens, definition, one } = stubborn(world);
    await one.lease.start();
    one.worker.start();
    const { sagaId } = await one.orchestrator.start(definition, {});
    await settled();
    const left = await world.clock.until(one.worker.stop(20_000));
    expect(left).toBe(1);
    expect(world.clock.monotonic()).toBe(17_000);
    await one.lease.stop(left === 0);
    expect(world.database.sagas.get(sagaId)).toMatchObject({ owner: 'one', epoch: 1 });

    const two = processOf(world, definition, 'two');
    await two.lease.start();
    two.worker.start();
    await world.clock.advance(5_000);
    expect(tokens).toEqual([1]);
    await world.clock.advance(10_000);
    expect(tokens).toEqual([1, 2]);
    expect(await world.status(sagaId)).toBe('completed');
    await two.worker.stop(0);
    await two.lease.stop(true);
  });

  it('makes the drain tell it also after a fault of the storage', async () => {
    const world = new SagaWorld();
    const definition = saga(
      {
        hotel: { dependsOn: [], run: never },
        flight: { dependsOn: [], run: () => world.clock.delay(1_000) },
      },
      { settleGrace: '1s' },
    );
    const one = processOf(world, definition, 'one');
    await one.lease.start();
    const { sagaId } = await one.orchestrator.start(definition, {});
    await settled();
    world.storage.beforeWrite = () => {
      throw new Error('connection lost');
    };
    const left = await world.clock.until(one.worker.stop(20_000));
    expect(left).toBe(1);
    await one.lease.stop(left === 0);
    expect(world.database.sagas.get(sagaId)?.owner).toBe('one');
  });
});

describe('ctx.publish', () => {
  it.each<[string, (ctx: Action) => unknown]>([
    ['was done', () => 'done'],
    [
      'had failed',
      ({ attempt }) => {
        if (attempt === 1) throw new Error('once more');
      },
    ],
  ])('rejects after its step %s, and writes nothing', async (_how, end) => {
    const world = new SagaWorld();
    const contexts: Action[] = [];
    const run = (ctx: Action) => {
      contexts.push(ctx);
      return end(ctx);
    };
    await world.execute(saga({ hotel: { run } }));
    for (const ctx of contexts) {
      await expect(ctx.publish({ type: 'too.late' })).rejects.toThrow(
        new TransactionRequiredError(
          'ctx.publish was called after the step had settled: await it inside the step',
        ),
      );
    }
    expect(world.events).toEqual([]);
  });
});
