import { Deferred } from '../../../lib/runtime/deferred.js';
import type { SagaDefinition } from '../../../lib/saga/definition/saga-definition.js';
import type { ClaimedSaga, ClaimRequest } from '../../../lib/saga/saga-storage.js';
import { FencedError, NonRetryableError, ShutdownError } from '../../../lib/saga/state/errors.js';
import { isPending, settled } from '../../support/fake-clock.js';
import { processOf, QUICK, saga, SagaWorld, type Undo } from '../../support/saga-world.js';

/** A handler that waits for a gate of the test the first time, and is done at once from then on. */
function slowOnce<T>(value: T) {
  const gate = new Deferred<T>();
  let calls = 0;
  const run = () => (++calls === 1 ? gate.promise : value);
  return { run, gate, calls: () => calls };
}

/** The heartbeat of a process, and then none for longer than its lease. */
async function silence(world: SagaWorld, ms = 11_000, worker = 'one'): Promise<void> {
  await world.workers.heartbeat({ id: worker, relays: false, leaseMs: 10_000 });
  await world.clock.advance(ms);
}

describe('a process that has lost its saga to another', () => {
  it('stops, and its late writes change nothing', async () => {
    const world = new SagaWorld();
    const slow = slowOnce('late');
    const mails: string[] = [];
    const definition = saga({
      hotel: {
        run: async (ctx) => {
          await ctx.publish({ type: `hotel by token ${ctx.fencingToken}` });
          return slow.run();
        },
      },
      mail: { run: ({ results }) => void mails.push(String(results['hotel'])) },
    });
    const one = await world.start(definition);
    await settled();
    const two = await world.takeOver(one.sagaId, definition);
    await world.clock.until(two.done);
    const before = await world.journal(one.sagaId);

    slow.gate.resolve('much too late');
    await expect(world.clock.until(one.done)).rejects.toBeInstanceOf(FencedError);
    expect(await world.journal(one.sagaId)).toEqual(before);
    expect(world.events).toEqual(['hotel by token 2']);
    expect(mails).toEqual(['late']);
    expect(await world.result(one.sagaId)).toMatchObject({ status: 'completed', results: { hotel: 'late' } });
  });

  it('aborts its other handlers with the reason, and starts no undo', async () => {
    const world = new SagaWorld();
    const slow = slowOnce('hotel');
    const reasons: unknown[] = [];
    const undone: string[] = [];
    const definition = saga({
      hotel: { dependsOn: [], run: slow.run, undo: ({ step }) => void undone.push(step) },
      flight: {
        dependsOn: [],
        run: ({ signal, fencingToken }) => {
          if (fencingToken > 1) return 'done';
          return new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => {
              reasons.push(signal.reason);
              reject(signal.reason as Error);
            });
          });
        },
      },
    });
    const one = await world.start(definition);
    await settled();
    const two = await world.takeOver(one.sagaId, definition);
    await world.clock.until(two.done);
    slow.gate.resolve('late');
    await expect(world.clock.until(one.done)).rejects.toBeInstanceOf(FencedError);
    expect(reasons).toEqual([expect.any(FencedError)]);
    expect(undone).toEqual([]);
  });

  it('writes nothing of a transactional step either', async () => {
    const world = new SagaWorld();
    const slow = slowOnce('booked');
    const definition = saga({ book: { transactional: true, run: slow.run } });
    const one = await world.start(definition);
    await settled();
    const two = await world.takeOver(one.sagaId, definition);
    await world.clock.until(two.done);
    slow.gate.resolve('too late');
    await expect(world.clock.until(one.done)).rejects.toBeInstanceOf(FencedError);
    expect(await world.result(one.sagaId)).toMatchObject({ results: { book: 'booked' } });
  });
});

describe('a process that takes over', () => {
  it('goes on forward: completed steps are not run again, the interrupted one is, with the same key', async () => {
    const world = new SagaWorld();
    const slow = slowOnce('seat 1A');
    const calls: string[] = [];
    const definition = saga({
      hotel: { run: () => void calls.push('hotel') },
      flight: {
        run: ({ idempotencyKey, fencingToken, attempt }) => {
          calls.push(`flight ${idempotencyKey} token ${fencingToken} attempt ${attempt}`);
          return slow.run();
        },
      },
      mail: { run: ({ results }) => void calls.push(`mail ${String(results['flight'])}`) },
    });
    const one = await world.start(definition);
    await settled();
    const two = await world.takeOver(one.sagaId, definition);
    await expect(world.clock.until(two.done)).resolves.toBe('ended');
    expect(calls).toEqual([
      'hotel',
      'flight saga-1:flight token 1 attempt 1',
      'flight saga-1:flight token 2 attempt 2',
      'mail seat 1A',
    ]);
    expect(await world.journal(one.sagaId)).toEqual([
      'step_completed hotel -> flight',
      'resumed -> flight',
      'step_completed flight -> mail',
      'step_completed mail',
    ]);
  });

  it('starts what was ready when nothing was under way', async () => {
    const world = new SagaWorld();
    const calls: string[] = [];
    const definition = saga({
      hotel: { run: () => void calls.push('hotel') },
      mail: { run: () => void calls.push('mail') },
    });
    const one = await world.start(definition);
    one.runner.drain();
    await expect(one.done).resolves.toBe('released');
    const two = await world.takeOver(one.sagaId, definition);
    await expect(world.clock.until(two.done)).resolves.toBe('ended');
    expect(calls).toEqual(['hotel', 'mail']);
  });

  it('runs a transactional step again, even one that may run once only: it did not commit', async () => {
    const world = new SagaWorld();
    const slow = slowOnce('booked');
    const undone: string[] = [];
    const definition = saga({
      book: { transactional: true, retry: false, run: slow.run, undo: () => void undone.push('book') },
    });
    const one = await world.start(definition);
    await silence(world);
    const two = await world.takeOver(one.sagaId, definition);
    await world.clock.until(two.done);
    expect(slow.calls()).toBe(2);
    expect(undone).toEqual([]);
    expect(await world.status(one.sagaId)).toBe('completed');
  });

  describe('of an ordinary step that may run once only', () => {
    async function takeOver(silentMs?: number) {
      const world = new SagaWorld();
      const slow = slowOnce('charged');
      const undone: unknown[] = [];
      const undo = ({ step, outcome, result }: Undo) =>
        void undone.push([step, outcome, result, world.clock.monotonic()]);
      const definition = saga({
        hotel: { run: () => 'room 7', undo },
        charge: { retry: false, run: slow.run, undo, timeout: '20s' },
      });
      const one = await world.start(definition);
      await settled();
      world.kill(one);
      if (silentMs !== undefined) await silence(world, silentMs);
      const begunAt = world.clock.monotonic();
      const two = await world.takeOver(one.sagaId, definition);
      return { world, slow, undone, definition, two, sagaId: one.sagaId, begunAt };
    }

    it('does not run it again, but undoes it once its whole time is up, of which nothing is known, and says why', async () => {
      const { world, slow, undone, two, sagaId } = await takeOver();
      await world.clock.until(two.done);
      expect(slow.calls()).toBe(1);
      expect(undone).toEqual([
        ['charge', 'unknown', undefined, 33_000],
        ['hotel', 'completed', 'room 7', 33_000],
      ]);
      expect(await world.result(sagaId)).toMatchObject({
        status: 'compensated',
        error: { code: 'SAGAZ_INTERRUPTED', step: 'charge' },
      });
    });

    it('undoes it only when the time of the lost process is up: last heartbeat, latest start, time-out and grace', async () => {
      const { world, undone, two } = await takeOver(11_000);
      await world.clock.until(two.done);
      expect(undone).toEqual([
        ['charge', 'unknown', undefined, 33_000],
        ['hotel', 'completed', 'room 7', 33_000],
      ]);
    });

    it('undoes it at once when that time is up already', async () => {
      const { world, undone, two, begunAt } = await takeOver(60_000);
      await world.clock.until(two.done);
      expect(undone).toEqual([
        ['charge', 'unknown', undefined, begunAt],
        ['hotel', 'completed', 'room 7', begunAt],
      ]);
    });

    it('still keeps that time when the second process lets go of the saga and a third one takes it', async () => {
      const { world, undone, definition, two, sagaId } = await takeOver(11_000);
      await world.clock.advance(1_000);
      two.runner.drain();
      await expect(world.clock.until(two.done)).resolves.toBe('released');
      expect(undone).toEqual([]);
      const three = await world.takeOver(sagaId, definition, 'three');
      await world.clock.until(three.done);
      expect(undone).toHaveLength(2);
      expect(undone[0]).toEqual(['charge', 'unknown', undefined, expect.any(Number)]);
      expect((undone[0] as unknown[])[3]).toBe(12_000 + 33_000);
    });
  });

  it('parks at an interrupted pivot that may run once only', async () => {
    const world = new SagaWorld();
    const slow = slowOnce('paid');
    const definition = saga({ pay: { pivot: true, retry: false, run: slow.run } });
    const one = await world.start(definition);
    await settled();
    const two = await world.takeOver(one.sagaId, definition);
    await world.clock.until(two.done);
    expect(slow.calls()).toBe(1);
    expect(await world.status(one.sagaId)).toBe('parked');
  });

  it('retries an interrupted pivot without limit, even if it is refused now: it may have happened before', async () => {
    const world = new SagaWorld();
    const slow = slowOnce('paid');
    let refusals = 5;
    const run = () => {
      if (slow.calls() > 0 && refusals-- > 0) throw Object.assign(new Error('try later'), { status: 429 });
      return slow.run();
    };
    const definition = saga({ pay: { pivot: true, retry: { ...QUICK, maxAttempts: 2 }, run } });
    const one = await world.start(definition);
    await settled();
    const two = await world.takeOver(one.sagaId, definition);
    await world.clock.until(two.done);
    expect(await world.result(one.sagaId)).toMatchObject({ status: 'completed', results: { pay: 'paid' } });
  });

  it('keeps what it does not know: an interrupted step that is refused the second time is undone all the same', async () => {
    const world = new SagaWorld();
    const slow = slowOnce('never seen');
    const undone: string[] = [];
    const definition = saga({
      charge: {
        retry: { ...QUICK, maxAttempts: 2 },
        run: ({ fencingToken }) => {
          if (fencingToken > 1) throw Object.assign(new Error('refused'), { status: 422 });
          return slow.run();
        },
        undo: ({ outcome }) => void undone.push(outcome),
      },
    });
    const one = await world.start(definition);
    await settled();
    world.kill(one);
    const two = await world.takeOver(one.sagaId, definition);
    await world.clock.until(two.done);
    expect(undone).toEqual(['unknown']);
  });

  it('undoes once more what a process that was frozen had done, which was fenced when it woke up', async () => {
    const world = new SagaWorld();
    const frozen = new Deferred<string>();
    const undone: unknown[] = [];
    const definition = saga({
      charge: {
        retry: false,
        run: () => frozen.promise,
        undo: ({ outcome, result }) => void undone.push([outcome, result]),
        // It has not happened yet when it is asked, so nobody waits for the time of the lost action.
        probe: () => ({ outcome: 'failed' }),
      },
    });
    const one = await world.start(definition);
    await settled();
    const two = await world.takeOver(one.sagaId, definition);
    await world.clock.until(two.done);
    expect(await world.status(one.sagaId)).toBe('compensated');
    frozen.resolve('charge 1');
    await expect(one.done).rejects.toThrow('not owned under epoch 1');
    await settled();
    await world.clock.until(Promise.all(world.reopened.map(({ done }) => done)));
    expect(undone).toEqual([['completed', 'charge 1']]);
    expect(await world.status(one.sagaId)).toBe('compensated');
  });

  it('undoes each of several things that a frozen process had done at once', async () => {
    const world = new SagaWorld();
    const frozen = new Deferred<void>();
    const undone: unknown[] = [];
    const step = (name: string) => ({
      dependsOn: [],
      retry: false as const,
      run: async () => {
        await frozen.promise;
        return name;
      },
      undo: ({ outcome, result }: Undo) => void undone.push([outcome, result]),
      probe: () => ({ outcome: 'failed' as const }),
    });
    const definition = saga({ room: step('room'), seat: step('seat'), car: step('car') });
    const one = await world.start(definition);
    await settled();
    const two = await world.takeOver(one.sagaId, definition);
    await world.clock.until(two.done);
    frozen.resolve();
    await expect(one.done).rejects.toThrow(FencedError);
    await settled();
    // Each late result takes the saga from the run that the one before it had started.
    await world.clock.until(Promise.allSettled(world.reopened.map(({ done }) => done)));
    const all = ['room', 'seat', 'car'].map((name) => ['completed', name]);
    expect(undone).toEqual(expect.arrayContaining(all));
  });

  it('goes on with the undos of a saga that had turned back, and repeats none that had ended', async () => {
    const world = new SagaWorld();
    const gate = new Deferred<void>();
    const calls: string[] = [];
    const definition = saga({
      hotel: {
        undo: ({ fencingToken, idempotencyKey }) => {
          calls.push(`undo hotel ${fencingToken} ${idempotencyKey}`);
          return fencingToken === 1 ? gate.promise : undefined;
        },
      },
      flight: { undo: ({ fencingToken }) => void calls.push(`undo flight ${fencingToken}`) },
      mail: {
        run: () => {
          throw new NonRetryableError('no');
        },
      },
    });
    const one = await world.start(definition);
    await settled();
    const two = await world.takeOver(one.sagaId, definition);
    await world.clock.until(two.done);
    expect(calls).toEqual([
      'undo flight 1',
      'undo hotel 1 saga-1:hotel:undo',
      'undo hotel 2 saga-1:hotel:undo',
    ]);
    expect(await world.result(one.sagaId)).toMatchObject({ status: 'compensated', error: { message: 'no' } });
  });

  it('undoes the sibling of a failed step that was still under way in the lost process', async () => {
    const world = new SagaWorld();
    const never = new Deferred<void>();
    const undone: unknown[] = [];
    const definition = saga({
      hotel: { dependsOn: [], run: () => never.promise, undo: ({ outcome }) => void undone.push(outcome) },
      flight: {
        dependsOn: [],
        run: () => {
          throw new NonRetryableError('no seats');
        },
      },
    });
    const one = await world.start(definition);
    await settled();
    const two = await world.takeOver(one.sagaId, definition);
    await world.clock.until(two.done);
    expect(undone).toEqual(['unknown']);
    expect(await world.status(one.sagaId)).toBe('compensated');
  });
});

describe('the drain of a process', () => {
  it('lets a running step end, starts nothing new and releases the saga', async () => {
    const world = new SagaWorld();
    const slow = slowOnce('room 7');
    const mails: string[] = [];
    const definition = saga({ hotel: { run: slow.run }, mail: { run: () => void mails.push('mail') } });
    const { sagaId, runner, done } = await world.start(definition);
    await settled();
    runner.drain();
    await settled();
    slow.gate.resolve('room 7');
    await expect(world.clock.until(done)).resolves.toBe('released');
    expect(mails).toEqual([]);
    expect(await world.journal(sagaId)).toEqual(['step_completed hotel']);
    expect(world.database.sagas.get(sagaId)?.owner).toBeUndefined();
    expect(await world.status(sagaId)).toBe('running');
  });

  it('ends the saga when its last step ends in time', async () => {
    const world = new SagaWorld();
    const slow = slowOnce('room 7');
    const { sagaId, runner, done } = await world.start(saga({ hotel: { run: slow.run } }));
    await settled();
    runner.drain();
    slow.gate.resolve('room 7');
    await expect(world.clock.until(done)).resolves.toBe('ended');
    expect(await world.status(sagaId)).toBe('completed');
  });

  it('takes an error of a running step for no attempt: nothing is undone, and another process repeats it', async () => {
    const world = new SagaWorld();
    const slow = slowOnce('seat 1A');
    const undone: string[] = [];
    const definition = saga({
      hotel: { undo: () => void undone.push('hotel') },
      flight: { run: slow.run, retry: 2, undo: () => void undone.push('flight') },
    });
    const one = await world.start(definition);
    await settled();
    one.runner.drain();
    slow.gate.reject(new Error('the pool of this process is closed'));
    await expect(world.clock.until(one.done)).resolves.toBe('released');
    expect(undone).toEqual([]);
    expect(await world.journal(one.sagaId)).toEqual(['step_completed hotel -> flight', 'released']);
    const two = await world.takeOver(one.sagaId, definition);
    await world.clock.until(two.done);
    expect(await world.result(one.sagaId)).toMatchObject({
      status: 'completed',
      results: { flight: 'seat 1A' },
    });
  });

  it('does not wait for a back-off', async () => {
    const world = new SagaWorld();
    let calls = 0;
    const run = () => {
      if (++calls === 1) throw new Error('later');
    };
    const definition = saga({
      hotel: { run, retry: { initialInterval: '4s', jitter: 'none' } },
    });
    const one = await world.start(definition);
    await settled();
    one.runner.drain();
    await expect(one.done).resolves.toBe('released');
    const two = await world.takeOver(one.sagaId, definition);
    await world.clock.until(two.done);
    expect(await world.status(one.sagaId)).toBe('completed');
  });

  it('starts no undo, and leaves them to the next process', async () => {
    const world = new SagaWorld();
    const gate = new Deferred<void>();
    const undone: string[] = [];
    const definition = saga({
      hotel: { undo: () => void undone.push('hotel') },
      flight: {
        undo: () => {
          undone.push('flight');
          return gate.promise;
        },
      },
      mail: {
        run: () => {
          throw new NonRetryableError('no');
        },
      },
    });
    const one = await world.start(definition);
    await settled();
    one.runner.drain();
    gate.resolve();
    await expect(world.clock.until(one.done)).resolves.toBe('released');
    expect(undone).toEqual(['flight']);
    const two = await world.takeOver(one.sagaId, definition);
    await world.clock.until(two.done);
    expect(undone).toEqual(['flight', 'hotel']);
    expect(await world.status(one.sagaId)).toBe('compensated');
  });

  it('aborts what does not end in its time, with ShutdownError as the reason', async () => {
    const world = new SagaWorld();
    const reasons: unknown[] = [];
    const definition = saga({
      hotel: {
        run: ({ signal }) =>
          new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => {
              reasons.push(signal.reason);
              reject(signal.reason as Error);
            });
          }),
      },
    });
    const { sagaId, runner, done } = await world.start(definition);
    await settled();
    runner.drain();
    runner.stop();
    await expect(world.clock.until(done)).resolves.toBe('released');
    expect(reasons).toEqual([expect.any(ShutdownError)]);
    expect(await world.journal(sagaId)).toEqual(['released']);
  });

  it('that begins in the moment of a takeover loses nothing: the next process completes the saga', async () => {
    const world = new SagaWorld();
    const slow = slowOnce('room 7');
    const definition = saga({ hotel: { run: slow.run }, mail: {} });
    const one = await world.start(definition);
    await settled();
    const two = world.go(await world.claim(one.sagaId, definition), definition);
    two.runner.drain();
    await expect(world.clock.until(two.done)).resolves.toBe('released');
    const three = await world.takeOver(one.sagaId, definition, 'three');
    await expect(world.clock.until(three.done)).resolves.toBe('ended');
    expect(await world.status(one.sagaId)).toBe('completed');
  });
});

describe('WorkerLease', () => {
  it('holds from a heartbeat for the lease, less one beat, and beats five times in it', async () => {
    const world = new SagaWorld();
    const { lease } = processOf(world, saga({ hotel: {} }), 'one');
    expect(lease.remainingMs()).toBe(0);
    await lease.start();
    expect(lease.remainingMs()).toBe(8_000);
    await world.clock.advance(1_999);
    expect(lease.remainingMs()).toBe(6_001);
    await world.clock.advance(60_001);
    expect(lease.remainingMs()).toBeGreaterThan(0);
    expect(world.database.silence('one', world.clock.monotonic())).toBeLessThanOrEqual(2_000);

    const broken = new Error('no connection');
    world.workers.heartbeat = () => Promise.reject(broken);
    const last = world.clock.monotonic() - (world.database.silence('one', world.clock.monotonic()) ?? 0);
    await world.clock.advance(last + 8_000 - world.clock.monotonic() - 1);
    expect(lease.remainingMs()).toBeGreaterThan(0);
    await world.clock.advance(1);
    expect(lease.remainingMs()).toBe(0);
    await lease.stop(false);
  });

  it('counts from before its heartbeat was sent: a slow one does not make it longer', async () => {
    const world = new SagaWorld();
    const { lease } = processOf(world, saga({ hotel: {} }), 'one');
    const heartbeat = world.workers.heartbeat.bind(world.workers);
    world.workers.heartbeat = async (worker) => {
      await world.clock.delay(3_000);
      return heartbeat(worker);
    };
    await world.clock.until(lease.start());
    expect(world.clock.monotonic()).toBe(3_000);
    expect(lease.remainingMs()).toBe(5_000);
    await world.clock.until(lease.stop(true));
  });

  it('aborts what runs here when its time is up before a heartbeat comes through, and takes it up again', async () => {
    const world = new SagaWorld();
    const signals: AbortSignal[] = [];
    const definition = saga({
      hotel: {
        timeout: '1h',
        run: ({ signal }) => {
          signals.push(signal);
          return new Promise<void>((resolve) => {
            signal.addEventListener('abort', () => resolve());
          });
        },
      },
    });
    const { lease, executor, orchestrator, worker } = processOf(world, definition, 'one');
    await lease.start();
    worker.start();
    await orchestrator.start(definition, {});
    await settled();
    const heartbeat = world.workers.heartbeat.bind(world.workers);
    world.workers.heartbeat = () => Promise.reject(new Error('no connection'));
    await world.clock.advance(7_999);
    expect(signals[0]?.aborted).toBe(false);
    await world.clock.advance(2_001);
    expect(signals[0]?.reason).toMatchObject({ code: 'SAGAZ_FENCED' });
    expect(signals).toHaveLength(1);
    world.workers.heartbeat = heartbeat;
    await world.clock.advance(5_000);
    expect(signals).toHaveLength(2);
    executor.abandon(new Error('end of the test'));
    await world.clock.until(worker.stop(1));
    await lease.stop(false);
  });

  it('goes on under another name when it was declared dead, and lets go of everything first', async () => {
    const world = new SagaWorld();
    const { lease, log } = processOf(world, saga({ hotel: {} }), 'one');
    await lease.start();
    const row = world.database.workers.get('one');
    if (!row) throw new Error('it is not known');
    row.dead = true;
    await world.clock.advance(2_000);
    expect(lease.id).toBe('one.1');
    expect(lease.remainingMs()).toBeGreaterThan(0);
    expect(world.database.workers.get('one.1')).toMatchObject({ dead: false });
    expect(log.lines).toContain('warn worker one was declared dead, and goes on as one.1');
    await lease.stop(true);
  });

  it('says at once that the process relays events, and goes on saying it', async () => {
    const world = new SagaWorld();
    const { lease } = processOf(world, saga({ hotel: {} }), 'one');
    await lease.start();
    const relays = () => world.database.workers.get('one')?.relays;
    expect(relays()).toBe(false);
    await lease.setRelays(true);
    expect(relays()).toBe(true);
    await world.clock.advance(30_000);
    expect(relays()).toBe(true);
    await lease.setRelays(false);
    await world.clock.advance(30_000);
    expect(relays()).toBe(false);
    await lease.stop(true);
  });

  it('is given back at once when everything has ended, and left to run out when not', async () => {
    const world = new SagaWorld();
    const { lease } = processOf(world, saga({ hotel: {} }), 'one');
    await lease.start();
    await lease.stop(false);
    expect(lease.remainingMs()).toBe(0);
    expect([...world.database.workers.keys()]).toEqual(['one']);
    await lease.stop(true);
    expect([...world.database.workers.keys()]).toEqual([]);
  });
});

describe('SagaWorker', () => {
  it('takes over what a dead process left, and not what a living one runs', async () => {
    const world = new SagaWorld();
    const gates = [slowOnce('a'), slowOnce('b')] as const;
    const definition = saga({ hotel: { run: ({ input }) => gates[Number(input['gate']) as 0 | 1].run() } });
    await world.workers.heartbeat({ id: 'dead', relays: false, leaseMs: 10_000 });
    const left = await world.start(definition, { gate: 0 }, 'dead');
    await world.clock.advance(9_000);
    await world.workers.heartbeat({ id: 'alive', relays: false, leaseMs: 10_000 });
    const kept = await world.start(definition, { gate: 1 }, 'alive');

    const { lease, worker } = processOf(world, definition, 'two');
    await lease.start();
    worker.start();
    await world.clock.advance(0);
    expect(world.database.sagas.get(left.sagaId)?.owner).toBe('dead');
    await world.clock.advance(2_000);
    expect(await world.status(left.sagaId)).toBe('completed');
    expect(world.database.sagas.get(kept.sagaId)?.owner).toBe('alive');
    await worker.stop(0);
    await lease.stop(true);
  });

  it('claims nothing while its lease does not hold', async () => {
    const world = new SagaWorld();
    let calls = 0;
    const definition = saga({ hotel: { run: () => void calls++ } });
    await pendingSaga(world, 'a');
    const { lease, worker } = processOf(world, definition, 'one');
    worker.start();
    await world.clock.advance(5_000);
    expect(calls).toBe(0);
    await lease.start();
    await world.clock.advance(1_000);
    expect(calls).toBe(1);
    await worker.stop(0);
    await lease.stop(true);
  });

  it('goes on with the later of two claims of a saga that come in the wrong order', async () => {
    const world = new SagaWorld();
    const gate = new Deferred<void>();
    const definition = saga({ hotel: { run: () => gate.promise } });
    const { executor, lease } = processOf(world, definition, 'two');
    const one = await world.start(definition);
    world.kill(one);
    world.storage.beforeWrite = () => undefined;
    const earlier = await world.claim(one.sagaId, definition);
    const later = await world.claim(one.sagaId, definition, 'three');
    await lease.start();
    executor.accept(later);
    executor.accept(earlier);
    await settled();
    expect(executor.claims).toEqual([{ sagaId: one.sagaId, epoch: later.epoch }]);
    gate.resolve();
    await executor.idle();
    expect(executor.lost).toEqual([]);
    expect(await world.status(one.sagaId)).toBe('completed');
    await lease.stop(true);
  });

  it('takes no more sagas than it may run at once', async () => {
    const world = new SagaWorld();
    const gates = [1, 2, 3].map(() => new Deferred<void>());
    let begun = 0;
    const definition = saga({ hotel: { run: () => gates[begun++]?.promise } });
    for (const id of ['a', 'b', 'c']) await pendingSaga(world, id);
    const { lease, worker, executor } = processOf(world, definition, 'one', 2);
    await lease.start();
    worker.start();
    await settled();
    expect([begun, executor.room]).toEqual([2, 0]);
    gates[0]?.resolve();
    await world.clock.advance(1_000);
    expect([begun, executor.room]).toEqual([3, 0]);
    for (const gate of gates) gate.resolve();
    await worker.stop(1_000);
    await lease.stop(true);
  });

  it('claims a saga anew after a fault of the storage, and completes it', async () => {
    const world = new SagaWorld();
    const definition = saga({ hotel: {}, mail: {} });
    await pendingSaga(world, 'a');
    let faults = 0;
    world.storage.beforeWrite = ({ entries }) => {
      if (entries.some(({ kind }) => kind === 'step_completed') && ++faults === 1)
        throw new Error('connection lost');
    };
    const { lease, worker, log } = processOf(world, definition, 'one');
    await lease.start();
    worker.start();
    await world.clock.advance(2_000);
    expect(await world.status('a')).toBe('completed');
    expect(log.lines).toEqual([
      expect.stringMatching(/^error saga trip a stopped here by a fault of the storage.*connection lost$/),
    ]);
    await worker.stop(1_000);
    await lease.stop(true);
  });

  it('resolves its stop to the number of sagas that would not let go within the time', async () => {
    const world = new SagaWorld();
    const never = new Deferred<void>();
    const stubborn: SagaDefinition = saga(
      { hotel: { transactional: true, run: () => never.promise } },
      { settleGrace: '1s' },
    );
    const { lease, executor, worker } = processOf(world, stubborn, 'one');
    await lease.start();
    world.storage.begin = () => new Promise(() => undefined);
    const claimed = await pending(world, stubborn);
    worker.start();
    executor.accept(claimed);
    await settled();
    const stop = worker.stop(5_000);
    await world.clock.advance(4_999);
    await expect(isPending(stop)).resolves.toBe(true);
    await world.clock.advance(1);
    await expect(stop).resolves.toBe(1);
    await lease.stop(false);
  });

  it('runs no saga whose claim comes back after the drain began: it is left to another process', async () => {
    const world = new SagaWorld();
    const begun: string[] = [];
    const definition = saga({
      hotel: { run: () => void begun.push('hotel') },
      mail: { run: () => void begun.push('mail') },
    });
    await pendingSaga(world, 'a');
    const { lease, worker } = processOf(world, definition, 'one');
    await lease.start();
    const gate = new Deferred<void>();
    const claim = world.storage.claim.bind(world.storage);
    world.storage.claim = async (request: ClaimRequest): Promise<readonly ClaimedSaga[]> => {
      const claimed = await claim(request);
      await gate.promise;
      return claimed;
    };
    worker.start();
    await settled();
    const stopped = worker.stop(1_000);
    gate.resolve();
    const left = await world.clock.until(stopped);
    await lease.stop(left === 0);
    await settled();
    expect(begun).toEqual([]);
    expect(world.database.sagas.get('a')?.owner).toBeUndefined();

    const other = processOf(world, definition, 'two');
    await other.lease.start();
    other.worker.start();
    await world.clock.advance(1_000);
    expect(begun).toEqual(['hotel', 'mail']);
    await other.worker.stop(1_000);
    await other.lease.stop(true);
  });
});

/** A saga that nobody runs yet. */
async function pendingSaga(world: SagaWorld, sagaId: string): Promise<void> {
  await world.storage.create({
    ...{ sagaId, name: 'trip', version: 1, input: '{}', inputHash: '', correlationId: sagaId, tags: {} },
    ...{
      idempotencyKey: undefined,
      owner: undefined,
      launch: [],
      definition: '',
      launchesPivot: false,
      timeoutMs: undefined,
      delayMs: undefined,
    },
  });
}

/** A saga that this process has claimed. */
async function pending(world: SagaWorld, definition: SagaDefinition): Promise<ClaimedSaga> {
  await pendingSaga(world, 'p');
  return world.claim('p', definition, 'one');
}
