import { settled } from '../../support/fake-clock.js';
import { QUICK, saga, SagaWorld, type Action } from '../../support/saga-world.js';

const LONG = { ...QUICK, initialInterval: 6_000, maxInterval: 6_000 };
const fails = () => {
  throw new Error('not now');
};

/** What the model test has found, each in its smallest form. */
describe('a transactional step that succeeds after its time-out', () => {
  const limits = { stepTimeout: 100, settleGrace: 50 };

  it('is run again, because its transaction was rolled back', async () => {
    const world = new SagaWorld();
    const calls: number[] = [];
    const run = async ({ attempt }: Action) => {
      calls.push(attempt);
      if (attempt === 1) await world.clock.delay(155);
      return attempt;
    };
    const retry = { ...QUICK, maxAttempts: 2 };
    const definition = saga({ book: { transactional: true, retry, run } }, limits);
    const result = await world.execute(definition);
    expect(result).toMatchObject({ status: 'completed', results: { book: 2 } });
    expect(calls).toEqual([1, 2]);
  });

  it('is not undone after its saga has turned back', async () => {
    const world = new SagaWorld();
    const undone: string[] = [];
    const definition = saga(
      {
        book: {
          ...{ transactional: true, retry: false },
          run: () => world.clock.delay(200),
          undo: ({ step }) => void undone.push(step),
        },
      },
      limits,
    );
    const result = await world.execute(definition);
    await world.clock.advance(1_000);
    expect(result).toMatchObject({ status: 'compensated' });
    expect(undone).toEqual([]);
    expect(world.reopened).toEqual([]);
  });
});

describe('a saga that waits for the next attempt of an undo', () => {
  it('is left alone until then although it was cancelled', async () => {
    const world = new SagaWorld();
    const definition = saga({
      book: { run: () => world.clock.delay(5), undo: fails, undoOptions: { retry: LONG } },
    });
    const { sagaId, runner, done } = await world.start(definition);
    await settled();
    await world.storage.requestCancel(sagaId);
    await runner.cancel();
    await expect(world.clock.until(done)).resolves.toBe('released');
    expect(world.database.sagas.get(sagaId)?.wakeAt).toBe(6_005);
  });

  it('is left alone until then although its deadline has passed', async () => {
    const world = new SagaWorld();
    const step = { run: () => world.clock.delay(40), undo: fails, undoOptions: { retry: LONG } };
    const { sagaId, done } = await world.start(saga({ book: step }, { timeout: 30 }));
    await expect(world.clock.until(done)).resolves.toBe('released');
    expect(world.database.sagas.get(sagaId)?.wakeAt).toBe(6_040);
  });
});

describe('a saga that waits for the next attempt of a step', () => {
  it('is not let go of while an earlier attempt may still succeed, and goes on at once when it does', async () => {
    const world = new SagaWorld();
    const calls: number[] = [];
    const run = async ({ attempt }: Action) => {
      calls.push(attempt);
      await world.clock.delay(200);
      return attempt;
    };
    const definition = saga({ book: { retry: LONG, run } }, { stepTimeout: 100, settleGrace: 50 });
    const { sagaId, done } = await world.start(definition);
    await expect(world.clock.until(done)).resolves.toBe('ended');
    expect(world.clock.monotonic()).toBe(200);
    expect(await world.status(sagaId)).toBe('completed');
    expect(calls).toEqual([1]);
  });
});

describe('an undo that ends without knowing of a late result, after another one has stopped all undos', () => {
  it('leaves the saga failed, with both standing, and not stuck', async () => {
    const world = new SagaWorld();
    const { clock } = world;
    const definition = saga(
      {
        ...{ hotel: { dependsOn: [], undo: fails, undoOptions: { retry: false } } },
        flight: { dependsOn: [], run: () => clock.delay(120), undo: () => clock.delay(100) },
        mail: { dependsOn: [], run: () => clock.delay(1).then(fails), retry: false },
      },
      { stepTimeout: 500, settleGrace: 50, onCompensationFailure: 'stop' },
    );
    await expect(world.execute(definition)).resolves.toMatchObject({
      status: 'failed',
      error: { standing: ['hotel', 'flight'] },
    });
  });
});
