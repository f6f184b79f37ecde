import { Deferred } from '../../../lib/runtime/deferred.js';
import { NonRetryableError } from '../../../lib/saga/state/errors.js';
import { settled } from '../../support/fake-clock.js';
import { QUICK, saga, SagaWorld, type Action, type Probing, type Undo } from '../../support/saga-world.js';

const never = () => new Promise<never>(() => undefined);

const refused = () => Object.assign(new Error('card refused'), { status: 422 });

/** A probe that gives these answers, one per call, then the last one again; an Error is thrown. */
function answering(...answers: readonly unknown[]) {
  const asked: Probing[] = [];
  const probe = (ctx: Probing) => {
    const answer = answers[Math.min(asked.push(ctx), answers.length) - 1];
    if (answer instanceof Error) throw answer;
    return answer;
  };
  return { asked, probe };
}

const FAILED = { outcome: 'failed' };
const UNKNOWN = { outcome: 'unknown' };
const COMPLETED = { outcome: 'completed', result: { receipt: 7 } };

/** Undos, with what they were told. */
function undos() {
  const undone: unknown[] = [];
  const undo = ({ step, outcome, result }: Undo) => void undone.push([step, outcome, result]);
  return { undone, undo };
}

describe('an action that was lost with its process, and that has a probe', () => {
  async function lose(probe: (ctx: Probing) => unknown, retry: number | false = 3) {
    const world = new SagaWorld();
    const { undone, undo } = undos();
    const calls: string[] = [];
    const run = ({ fencingToken, idempotencyKey }: Action) => {
      calls.push(`${fencingToken} ${idempotencyKey}`);
      return fencingToken === 1 ? never() : 'charged again';
    };
    const mails: unknown[] = [];
    const definition = saga({
      charge: { run, undo, probe, retry: retry === false ? false : { ...QUICK, maxAttempts: retry } },
      mail: { run: ({ results }) => void mails.push(results['charge']) },
    });
    const one = await world.start(definition, { amount: 12 });
    await settled();
    world.kill(one);
    const two = await world.takeOver(one.sagaId, definition);
    await world.clock.until(two.done);
    return { world, calls, mails, undone, sagaId: one.sagaId, result: await world.result(one.sagaId) };
  }

  it('is recorded with the result that the probe found, and not run again', async () => {
    const { asked, probe } = answering(COMPLETED);
    const { world, calls, mails, sagaId, result } = await lose(probe);
    expect(calls).toEqual([`1 ${sagaId}:charge`]);
    expect(result).toMatchObject({ status: 'completed', results: { charge: { receipt: 7 } } });
    expect(mails).toEqual([{ receipt: 7 }]);
    expect(await world.journal(sagaId)).toEqual([
      'resumed -> charge',
      'step_completed charge -> mail',
      'step_completed mail',
    ]);
    expect(asked).toHaveLength(1);
  });

  it('is recorded also when it may run once only', async () => {
    const { calls, result } = await lose(answering(COMPLETED).probe, false);
    expect(calls).toHaveLength(1);
    expect(result).toMatchObject({ status: 'completed', results: { charge: { receipt: 7 } } });
  });

  it('has no result when the probe found none', async () => {
    const { result } = await lose(answering({ outcome: 'completed', result: undefined }).probe);
    expect(result.status).toBe('completed');
    expect(result.results).toEqual({});
  });

  it('turns the saga back when the result that the probe found cannot be kept, as that of the action would', async () => {
    const { probe } = answering({ outcome: 'completed', result: { amount: 12n } });
    const { calls, undone, result } = await lose(probe);
    expect(calls).toHaveLength(1);
    expect(result).toMatchObject({
      status: 'compensated',
      error: { code: 'SAGAZ_RESULT_NOT_SERIALISABLE', step: 'charge' },
    });
    expect(undone).toEqual([['charge', 'completed', undefined]]);
  });

  it('is asked about with the key of the action, and the probe can neither publish nor write', async () => {
    const { asked, probe } = answering(COMPLETED);
    const { sagaId } = await lose(probe);
    expect(asked).toMatchObject([
      {
        ...{ sagaId, step: 'charge', phase: 'probe', input: { amount: 12 }, results: {}, fencingToken: 2 },
        idempotencyKey: `${sagaId}:charge`,
      },
    ]);
    expect(asked[0]).not.toHaveProperty('publish');
    expect(asked[0]).not.toHaveProperty('manager');
  });

  it('is run again with the same key when the probe knows nothing', async () => {
    const { calls, result, sagaId } = await lose(answering(UNKNOWN).probe);
    expect(calls).toEqual([`1 ${sagaId}:charge`, `2 ${sagaId}:charge`]);
    expect(result).toMatchObject({ status: 'completed', results: { charge: 'charged again' } });
  });

  it('is run again when the probe found that nothing had happened', async () => {
    const { world, calls, result, sagaId } = await lose(answering(FAILED).probe);
    expect(calls).toHaveLength(2);
    expect(result.status).toBe('completed');
    expect((await world.journal(sagaId)).slice(0, 2)).toEqual(['resumed -> charge', 'probed charge']);
  });

  it.each<[string, unknown]>([
    ['throws', new Error('the shop does not answer')],
    ['returns nothing', undefined],
  ])('is run again when the probe %s: it knows nothing', async (_how, answer) => {
    const { world, calls, result } = await lose(answering(answer).probe);
    expect(calls).toHaveLength(2);
    expect(result.status).toBe('completed');
    expect(world.log.lines).toEqual(
      answer instanceof Error
        ? ['warn saga trip saga-1: the probe of step charge failed: the shop does not answer']
        : [],
    );
  });

  it('is run again when the probe never answers, after the time-out of the step', async () => {
    const { world, calls, result } = await lose(never);
    expect(calls).toHaveLength(2);
    expect(result.status).toBe('completed');
    expect(world.clock.monotonic()).toBe(30_000);
  });

  it('is neither run again nor undone when it may run once only and the probe found that nothing had happened', async () => {
    const { calls, undone, result } = await lose(answering(FAILED).probe, false);
    expect(calls).toHaveLength(1);
    expect(undone).toEqual([]);
    expect(result).toMatchObject({ status: 'compensated', error: { code: 'SAGAZ_INTERRUPTED' } });
  });
});

describe('an attempt that may have happened, of a step with a probe', () => {
  it('is asked about before the next attempt, and recorded when it had happened', async () => {
    const world = new SagaWorld();
    const { asked, probe } = answering(UNKNOWN, COMPLETED);
    let calls = 0;
    const run = () => {
      calls++;
      throw new Error('time-out');
    };
    const result = await world.execute(saga({ charge: { run, probe } }));
    expect(result).toMatchObject({ status: 'completed', results: { charge: { receipt: 7 } } });
    expect([calls, asked.length]).toEqual([2, 2]);
  });

  it('is not asked about before the first attempt, nor after one that is known to have had no effect', async () => {
    const world = new SagaWorld();
    const { asked, probe } = answering(UNKNOWN);
    const { undone, undo } = undos();
    const run = () => {
      throw refused();
    };
    const result = await world.execute(saga({ charge: { run, probe, undo } }));
    expect(result.status).toBe('compensated');
    expect([asked, undone]).toEqual([[], []]);
  });

  it('turns a pivot back instead of parking when the probe found no effect and it is refused from then on', async () => {
    const world = new SagaWorld();
    const { probe } = answering(FAILED);
    const { undone, undo } = undos();
    const thrown = [new Error('time-out'), refused(), refused()];
    const run = () => {
      throw thrown.shift() ?? new Error('called too often');
    };
    const definition = saga({ hotel: { undo }, pay: { pivot: true, run, probe } });
    const result = await world.execute(definition);
    expect(result).toMatchObject({ status: 'compensated', error: { message: 'card refused', step: 'pay' } });
    expect(undone).toEqual([['hotel', 'completed', undefined]]);
    expect(await world.journal(result.sagaId)).toContain('probed pay');
  });

  it('retries the pivot without limit when the probe does not know either', async () => {
    const world = new SagaWorld();
    const { probe } = answering(UNKNOWN);
    const thrown = [new Error('time-out'), ...Array.from({ length: 9 }, refused)];
    const run = () => {
      const next = thrown.shift();
      if (next) throw next;
      return 'paid';
    };
    const definition = saga({ pay: { pivot: true, run, probe } });
    await expect(world.execute(definition)).resolves.toMatchObject({
      status: 'completed',
      results: { pay: 'paid' },
    });
  });

  it('turns a pivot that was lost with its process back when it had not happened and is refused now', async () => {
    const world = new SagaWorld();
    const { probe } = answering(FAILED);
    const { undone, undo } = undos();
    const run = ({ fencingToken }: Action) => {
      if (fencingToken > 1) throw refused();
      return never();
    };
    const definition = saga({ hotel: { undo }, pay: { pivot: true, run, probe } });
    const one = await world.start(definition);
    await settled();
    world.kill(one);
    const two = await world.takeOver(one.sagaId, definition);
    await world.clock.until(two.done);
    expect(await world.status(one.sagaId)).toBe('compensated');
    expect(undone).toEqual([['hotel', 'completed', undefined]]);
  });
});

describe('the undo of a step that may have happened and has a probe', () => {
  async function fail(compensateOn: 'unknown' | 'always', ...answers: readonly unknown[]) {
    const world = new SagaWorld();
    const { undone, undo } = undos();
    const { asked, probe } = answering(UNKNOWN, ...answers);
    const run = () => {
      throw new Error('time-out');
    };
    const result = await world.execute(saga({ charge: { run, probe, undo, retry: false, compensateOn } }));
    return { undone, asked, result, journal: await world.journal(result.sagaId) };
  }

  it('is not run when the probe finds that nothing had happened', async () => {
    const { undone, asked, result, journal } = await fail('unknown', FAILED);
    expect(result).toMatchObject({ status: 'compensated', error: { message: 'time-out' } });
    expect(undone).toEqual([]);
    expect(journal).toEqual(['step_failed charge', 'probed charge']);
    expect(asked).toHaveLength(2);
    expect(asked[1]?.idempotencyKey).toBe(`${result.sagaId}:charge`);
  });

  it('gets the result that the probe found', async () => {
    const { undone, result, journal } = await fail('unknown', COMPLETED);
    expect(result.status).toBe('compensated');
    expect(undone).toEqual([['charge', 'completed', { receipt: 7 }]]);
    expect(journal).toEqual(['step_failed charge', 'probed charge', 'undo_completed charge']);
  });

  it('is run all the same when it is wanted always, and told that nothing had happened', async () => {
    const { undone } = await fail('always', FAILED);
    expect(undone).toEqual([['charge', 'failed', undefined]]);
  });

  it.each<[string, unknown]>([
    ['knows nothing', UNKNOWN],
    ['throws', new Error('the shop does not answer')],
  ])('is run without a result when the probe %s', async (_how, answer) => {
    const { undone } = await fail('unknown', answer);
    expect(undone).toEqual([['charge', 'unknown', undefined]]);
  });

  it('does not wait for the time of a lost process to be up when the probe knows what happened', async () => {
    const world = new SagaWorld();
    const { undone, undo } = undos();
    const definition = saga({
      hotel: { dependsOn: [], run: never, undo, probe: () => COMPLETED },
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
    expect(undone).toEqual([['hotel', 'completed', { receipt: 7 }]]);
    expect(world.clock.monotonic()).toBe(11_000);
  });
});

describe('a shutdown', () => {
  it('that cuts the probe after a failed attempt short is no failure: the next process repeats the step', async () => {
    const world = new SagaWorld();
    const { undone, undo } = undos();
    let asked = 0;
    const probe = ({ signal }: Probing) => {
      if (++asked > 1) return UNKNOWN;
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      });
    };
    const run = ({ fencingToken }: Action) => {
      if (fencingToken === 1) throw new Error('time-out');
      return 'charged';
    };
    const definition = saga({ charge: { run, probe, undo } });
    const one = await world.start(definition);
    await settled();
    expect(asked).toBe(1);
    one.runner.drain();
    one.runner.stop();
    await expect(world.clock.until(one.done)).resolves.toBe('released');
    expect(undone).toEqual([]);
    expect(await world.status(one.sagaId)).toBe('running');
    const two = await world.takeOver(one.sagaId, definition);
    await world.clock.until(two.done);
    expect(await world.result(one.sagaId)).toMatchObject({
      status: 'completed',
      results: { charge: 'charged' },
    });
  });

  it('lets a probe end, and keeps what it found', async () => {
    const world = new SagaWorld();
    const answer = new Deferred<unknown>();
    const run = () => {
      throw new Error('time-out');
    };
    const definition = saga({ charge: { run, probe: () => answer.promise }, mail: {} });
    const one = await world.start(definition);
    await settled();
    one.runner.drain();
    answer.resolve(COMPLETED);
    await expect(world.clock.until(one.done)).resolves.toBe('released');
    expect(await world.journal(one.sagaId)).toEqual(['step_completed charge']);
  });
});
