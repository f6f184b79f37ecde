import { Deferred } from '../../../lib/runtime/deferred.js';
import {
  PayloadTooLargeError,
  SagaConflictError,
  SagaInputError,
  SagaNotFoundError,
  SagaResultTimeoutError,
  ShutdownError,
} from '../../../lib/saga/state/errors.js';
import type { ClaimedSaga, NewSaga } from '../../../lib/saga/saga-storage.js';
import { isPending, settled } from '../../support/fake-clock.js';
import { processOf, saga, SagaWorld } from '../../support/saga-world.js';

/** Counts how many handlers run at once, each for 100 ms. */
function counting(world: SagaWorld) {
  const count = { now: 0, most: 0, done: 0 };
  const run = async () => {
    count.most = Math.max(count.most, ++count.now);
    await world.clock.delay(100);
    count.now--;
    count.done++;
  };
  return { count, run };
}

function newSaga(sagaId: string, more: Partial<NewSaga> = {}): NewSaga {
  return {
    ...{
      sagaId,
      name: 'trip',
      version: 1,
      definition: '',
      input: '{}',
      inputHash: '',
      correlationId: sagaId,
      tags: {},
    },
    ...{
      idempotencyKey: undefined,
      owner: undefined,
      launch: [],
      launchesPivot: false,
      timeoutMs: undefined,
      delayMs: undefined,
    },
    ...more,
  };
}

/** Lets every claim wait for the gate, before it looks or after. */
function slowClaims(world: SagaWorld, when: 'before it looks' | 'after it has looked') {
  const gate = new Deferred<void>();
  const claim = world.storage.claim.bind(world.storage);
  let calls = 0;
  world.storage.claim = async (request): Promise<readonly ClaimedSaga[]> => {
    calls++;
    if (when === 'before it looks') await gate.promise;
    const claimed = await claim(request);
    await gate.promise;
    return claimed;
  };
  return { gate, calls: () => calls };
}

describe('a process that may run two sagas at once', () => {
  it('runs at most two of fifty that are executed at once, and all of them in the end', async () => {
    const world = new SagaWorld();
    const { count, run } = counting(world);
    const definition = saga({ hotel: { run } });
    const { lease, worker, orchestrator } = processOf(world, definition, 'one', 2);
    await lease.start();
    worker.start();
    await settled();
    const results = Promise.all(Array.from({ length: 50 }, () => orchestrator.execute(definition, {})));
    const ended = await world.clock.until(results);
    expect(count).toEqual({ now: 0, most: 2, done: 50 });
    expect(new Set(ended.map(({ status }) => status))).toEqual(new Set(['completed']));
    await world.clock.until(worker.stop(1_000));
    await lease.stop(true);
  });

  it('runs no third one that is executed while a claim of two is under way', async () => {
    const world = new SagaWorld();
    const { count, run } = counting(world);
    const definition = saga({ hotel: { run } });
    const { lease, worker, orchestrator } = processOf(world, definition, 'one', 2);
    for (const id of ['a', 'b']) await world.storage.create(newSaga(id));
    await lease.start();
    const { gate, calls } = slowClaims(world, 'after it has looked');
    worker.start();
    await settled();
    expect(calls()).toBe(1);
    const results = Promise.all([1, 2].map(() => orchestrator.execute(definition, {})));
    await settled();
    gate.resolve();
    await world.clock.until(results);
    expect(count.most).toBe(2);
    await world.clock.until(worker.stop(1_000));
    await lease.stop(true);
  });

  it('gives a place back when the creation was refused, and when the key had been used', async () => {
    const world = new SagaWorld();
    const definition = saga({ hotel: {} });
    const { lease, executor, orchestrator } = processOf(world, definition, 'one', 2);
    await lease.start();
    const first = await orchestrator.start(definition, { room: 7 }, { idempotencyKey: 'k' });
    await world.clock.until(executor.idle());
    const again = await orchestrator.start(definition, { room: 7 }, { idempotencyKey: 'k' });
    expect(again.sagaId).toBe(first.sagaId);
    await expect(orchestrator.start(definition, { room: 8 }, { idempotencyKey: 'k' })).rejects.toBeInstanceOf(
      SagaConflictError,
    );
    await expect(orchestrator.start(definition, { room: NaN })).rejects.toBeInstanceOf(SagaInputError);
    await expect(orchestrator.start(definition, 'x'.repeat(1_000))).rejects.toBeInstanceOf(
      PayloadTooLargeError,
    );
    world.storage.create = () => Promise.reject(new Error('no connection'));
    await expect(orchestrator.start(definition, {})).rejects.toThrow('no connection');
    expect([executor.room, executor.held]).toEqual([2, []]);
    await lease.stop(true);
  });

  it('creates sagas that nobody runs when its lease does not hold', async () => {
    const world = new SagaWorld();
    let calls = 0;
    const definition = saga({ hotel: { run: () => void calls++ } });
    const { orchestrator, executor } = processOf(world, definition, 'one', 2);
    const { sagaId } = await orchestrator.start(definition, {});
    await settled();
    expect(world.database.sagas.get(sagaId)).toMatchObject({ owner: undefined, status: 'pending' });
    expect([calls, executor.room]).toEqual([0, 2]);
  });
});

describe('a saga that is created while its process claims', () => {
  it('is not claimed anew as long as the creation is under way', async () => {
    const world = new SagaWorld();
    let calls = 0;
    const definition = saga({ hotel: { retry: false, run: () => void calls++ } });
    const { lease, worker, orchestrator } = processOf(world, definition, 'one');
    await lease.start();
    const created = new Deferred<void>();
    const create = world.storage.create.bind(world.storage);
    world.storage.create = async (...args) => {
      const result = await create(...args);
      await created.promise;
      return result;
    };
    const result = orchestrator.execute(definition, {});
    await settled();
    worker.start();
    await world.clock.advance(3_000);
    expect(calls).toBe(0);
    created.resolve();
    await expect(world.clock.until(result)).resolves.toMatchObject({ status: 'completed' });
    expect(calls).toBe(1);
    await worker.stop(0);
    await lease.stop(true);
  });

  it('is not claimed anew by a claim that had begun before it was created', async () => {
    const world = new SagaWorld();
    let calls = 0;
    const definition = saga({ hotel: { retry: false, run: () => world.clock.delay(100 + calls++) } });
    const { lease, worker, orchestrator } = processOf(world, definition, 'one');
    await lease.start();
    const { gate } = slowClaims(world, 'before it looks');
    worker.start();
    await settled();
    const result = orchestrator.execute(definition, {});
    await settled();
    gate.resolve();
    await expect(world.clock.until(result)).resolves.toMatchObject({ status: 'completed' });
    expect(calls).toBe(1);
    await worker.stop(0);
    await lease.stop(true);
  });
});

describe('a creation whose reply is lost', () => {
  it('leaves a saga that its own worker claims and runs later', async () => {
    const world = new SagaWorld();
    let calls = 0;
    const definition = saga({ hotel: { run: () => `room ${++calls}` } });
    const { lease, executor, worker, orchestrator } = processOf(world, definition, 'one');
    await lease.start();
    worker.start();
    await settled();
    const create = world.storage.create.bind(world.storage);
    world.storage.create = async (...args) => {
      await create(...args);
      throw new Error('connection lost');
    };
    const options = { idempotencyKey: 'trip of Ann' };
    await expect(orchestrator.execute(definition, {}, options)).rejects.toThrow('connection lost');
    expect([executor.held, calls]).toEqual([[], 0]);
    expect([...world.database.sagas.values()]).toMatchObject([{ owner: 'one', status: 'running' }]);

    await world.clock.advance(1_000);
    world.storage.create = create;
    const result = world.clock.until(orchestrator.execute(definition, {}, options));
    await expect(result).resolves.toMatchObject({ status: 'completed', results: { hotel: 'room 1' } });
    expect(world.database.sagas.size).toBe(1);
    await worker.stop(0);
    await lease.stop(true);
  });
});

describe('the wait for a result', () => {
  function setUp() {
    const world = new SagaWorld();
    const gate = new Deferred<string>();
    const definition = saga({ hotel: { run: () => gate.promise } });
    return { world, gate, definition, ...processOf(world, definition, 'one') };
  }

  it('ends at its time-out with the id of the saga, which goes on', async () => {
    const { world, gate, definition, lease, orchestrator } = setUp();
    await lease.start();
    const handle = await orchestrator.start(definition, {});
    const waited = handle.result({ timeout: '3s' });
    waited.catch(() => undefined);
    await world.clock.advance(2_999);
    await expect(isPending(waited)).resolves.toBe(true);
    await world.clock.advance(1);
    await expect(waited).rejects.toThrow(new SagaResultTimeoutError(handle.sagaId, 3_000));
    await expect(waited).rejects.toMatchObject({ sagaId: handle.sagaId });
    gate.resolve('room 7');
    await expect(world.clock.until(handle.result())).resolves.toMatchObject({
      status: 'completed',
      results: { hotel: 'room 7' },
    });
  });

  it('is told the end of a saga that runs here in that moment, without a look later', async () => {
    const { world, gate, definition, lease, orchestrator } = setUp();
    await lease.start();
    const result = orchestrator.execute(definition, {});
    await world.clock.advance(1_234);
    gate.resolve('room 7');
    await settled();
    await expect(isPending(result)).resolves.toBe(false);
    await expect(result).resolves.toMatchObject({ status: 'completed' });
    expect(world.clock.monotonic()).toBe(1_234);
  });

  it('finds the end of a saga that runs in another process within half a second', async () => {
    const { world, gate, definition, lease, orchestrator } = setUp();
    const other = processOf(world, definition, 'two');
    await other.lease.start();
    const { sagaId } = await other.orchestrator.start(definition, {});
    await lease.start();
    const result = orchestrator.result(sagaId);
    await world.clock.advance(10_000);
    gate.resolve('room 7');
    await world.clock.advance(500);
    await expect(isPending(result)).resolves.toBe(false);
    await expect(result).resolves.toMatchObject({ status: 'completed' });
  });

  it('claims the saga that it waits for before the worker has started', async () => {
    const { world, gate, lease, orchestrator } = setUp();
    await world.storage.create(newSaga('left'));
    await world.storage.create(newSaga('other'));
    await lease.start();
    gate.resolve('room 7');
    await expect(world.clock.until(orchestrator.result('left'))).resolves.toMatchObject({
      status: 'completed',
    });
    expect(await world.status('other')).toBe('pending');
  });

  it('runs the saga once when several callers wait for it before the worker has started', async () => {
    const world = new SagaWorld();
    let calls = 0;
    const definition = saga({ hotel: { retry: false, run: () => world.clock.delay(100 + calls++) } });
    const { lease, orchestrator } = processOf(world, definition, 'one');
    await world.storage.create(newSaga('left'));
    await lease.start();
    const claim = world.storage.claim.bind(world.storage);
    let claims = 0;
    world.storage.claim = async (request) => {
      if (claims++ > 0) await world.clock.delay(50);
      return claim(request);
    };
    const results = Promise.all([orchestrator.result('left'), orchestrator.result('left')]);
    await expect(world.clock.until(results)).resolves.toMatchObject([
      { status: 'completed' },
      { status: 'completed' },
    ]);
    expect(calls).toBe(1);
  });

  it('refuses an id that does not exist, and a time-out that is none', async () => {
    const { orchestrator } = setUp();
    await expect(orchestrator.result('nowhere')).rejects.toThrow(
      new SagaNotFoundError('there is no saga nowhere'),
    );
    await expect(orchestrator.get('nowhere')).rejects.toBeInstanceOf(SagaNotFoundError);
    await expect(orchestrator.result('nowhere', { timeout: 'soon' as '1s' })).rejects.toBeInstanceOf(
      SagaInputError,
    );
  });

  it('ends when this process closes, and leaves the saga as it is', async () => {
    const { world, definition, lease, orchestrator } = setUp();
    await lease.start();
    const waits = [orchestrator.execute(definition, {}), orchestrator.execute(definition, {})];
    for (const wait of waits) wait.catch(() => undefined);
    await settled();
    orchestrator.close();
    for (const wait of waits) await expect(wait).rejects.toBeInstanceOf(ShutdownError);
    expect([...world.database.sagas.values()]).toMatchObject([{ status: 'running' }, { status: 'running' }]);
  });

  it('still gives the result of a saga that has ended after this process has closed', async () => {
    const { world, gate, definition, lease, orchestrator } = setUp();
    await lease.start();
    gate.resolve('room 7');
    const handle = await orchestrator.start(definition, {});
    await world.clock.until(handle.result());
    orchestrator.close();
    await expect(handle.result()).resolves.toMatchObject({ status: 'completed' });
  });

  it('leaves no timer and no listener behind', async () => {
    const { world, gate, definition, lease, orchestrator } = setUp();
    await lease.start();
    await settled();
    const beats = world.clock.waiting.length;
    const result = orchestrator.execute(definition, {}, { timeout: '1h' });
    await settled();
    gate.resolve('room 7');
    await result;
    await settled();
    expect(world.clock.waiting).toHaveLength(beats);
  });
});

describe('SagaExecutor', () => {
  it('lets go of a saga that it accepts after the drain began, and begins nothing of it', async () => {
    const world = new SagaWorld();
    let calls = 0;
    const definition = saga({ hotel: { run: () => void calls++ } });
    const { executor, log } = processOf(world, definition, 'one');
    await world.storage.create(newSaga('a'));
    const claimed = await world.claim('a', definition, 'one');
    executor.close();
    executor.accept(claimed);
    expect(executor.held).toEqual(['a']);
    await world.clock.until(executor.idle());
    expect([calls, executor.leftRunning, log.lines]).toEqual([0, 0, []]);
    expect(world.database.sagas.get('a')).toMatchObject({ owner: undefined, status: 'running', journal: [] });
  });

  it('takes nothing before it is started and after it is closed', async () => {
    const world = new SagaWorld();
    const { executor } = processOf(world, saga({ hotel: {} }), 'one', 2);
    expect([executor.room, executor.reserve('a'), executor.room]).toEqual([2, true, 1]);
    executor.close();
    expect([executor.room, executor.reserve('b')]).toEqual([0, false]);
    executor.forgo('a');
    await executor.idle();
    expect(executor.held).toEqual([]);
  });

  it('waits in its drain for a saga whose creation is under way', async () => {
    const world = new SagaWorld();
    const { executor } = processOf(world, saga({ hotel: {} }), 'one');
    executor.reserve('a');
    executor.close();
    let idle = false;
    const wait = executor.idle().then(() => {
      idle = true;
    });
    await world.clock.advance(1_000);
    expect([idle, executor.leftRunning]).toEqual([false, 1]);
    executor.forgo('a');
    await world.clock.until(wait);
    expect(executor.leftRunning).toBe(0);
  });

  it('parks a saga whose journal its definition cannot explain, and runs its neighbours', async () => {
    const world = new SagaWorld();
    const definition = saga({ hotel: {}, mail: {} });
    await world.storage.create(newSaga('a'));
    await world.storage.create(newSaga('changed', { owner: 'gone', launch: ['ferry'] }));
    await world.storage.create(newSaga('b'));
    const { lease, worker, log } = processOf(world, definition, 'one');
    await lease.start();
    worker.start();
    await world.clock.advance(0);
    expect(await Promise.all(['a', 'b'].map((id) => world.status(id)))).toEqual(['completed', 'completed']);
    expect(await world.result('changed')).toMatchObject({
      status: 'parked',
      error: {
        code: 'SAGAZ_DEFINITION_CHANGED',
        message: expect.stringContaining('has no step "ferry"') as unknown,
      },
    });
    expect(log.lines).toEqual([
      expect.stringMatching(
        /^error saga trip changed is parked: version 1 of saga "trip" has no step "ferry"/,
      ),
      expect.stringMatching(/^error alarm saga.parked .*SAGAZ_DEFINITION_CHANGED/),
    ]);
    await worker.stop(0);
    await lease.stop(true);
  });

  it('goes on with the neighbours of a saga that cannot even be parked', async () => {
    const world = new SagaWorld();
    const definition = saga({ hotel: {} });
    await world.storage.create(newSaga('changed', { owner: 'gone', launch: ['ferry'] }));
    await world.storage.create(newSaga('b'));
    world.storage.beforeWrite = ({ status }) => {
      if (status === 'parked') throw new Error('connection lost');
    };
    const { lease, worker, executor } = processOf(world, definition, 'one');
    await lease.start();
    worker.start();
    await world.clock.advance(0);
    expect(await world.status('b')).toBe('completed');
    expect(executor.held).toEqual([]);
    world.storage.beforeWrite = () => undefined;
    await world.clock.advance(1_000);
    expect(await world.status('changed')).toBe('parked');
    await worker.stop(0);
    await lease.stop(true);
  });
});
