import { type FailureStrategy } from '../../../lib/saga/definition/saga-options.js';
import { SagaCancelledError } from '../../../lib/saga/state/errors.js';
import { QUICK, saga, SagaWorld, type Action, type Undo } from '../../support/saga-world.js';

/** A step fails after 10 ms; beside it one takes so long, one is in its back-off, and one waits for the long one. */
async function runBeside(failureStrategy: FailureStrategy, longMs: number) {
  const world = new SagaWorld();
  const { clock } = world;
  const trace: string[] = [];
  const note = (what: string) => void trace.push(`${clock.monotonic()} ${what}`);
  const long = async ({ signal }: Action) => {
    signal.addEventListener('abort', () => note((signal.reason as Error).constructor.name));
    await clock.delay(longMs, signal);
    if (signal.aborted) throw signal.reason;
    return 'done';
  };
  const undo = ({ step, outcome, result }: Undo) => note(`undo ${step} ${outcome} ${String(result)}`);
  const definition = saga(
    {
      bad: {
        dependsOn: [],
        run: () => clock.delay(10).then(() => Promise.reject(new Error('bad'))),
        retry: false,
      },
      long: { dependsOn: [], run: long, undo },
      again: {
        ...{ dependsOn: [], retry: { ...QUICK, initialInterval: 500, maxInterval: 500 } },
        run: () => {
          note('again');
          throw new Error('not now');
        },
      },
      next: { dependsOn: ['long'], run: () => note('next') },
    },
    { failureStrategy, settleGrace: 50 },
  );
  const { status } = await world.execute(definition);
  return { status, trace };
}

describe('parallel steps of which one fails', () => {
  it('FAIL_FAST aborts the others at once', async () => {
    const { status, trace } = await runBeside('FAIL_FAST', 30);
    expect(status).toBe('compensated');
    expect(trace).toEqual(['0 again', `10 ${SagaCancelledError.name}`, '10 undo long unknown undefined']);
  });

  it('WAIT_ALL lets the others end by themselves, begins nothing and tries nothing again', async () => {
    const { status, trace } = await runBeside('WAIT_ALL', 300);
    expect(status).toBe('compensated');
    expect(trace).toEqual(['0 again', '300 undo long completed done']);
  });

  it('FAIL_FAST_WITH_GRACE lets the others end within the grace', async () => {
    const { trace } = await runBeside('FAIL_FAST_WITH_GRACE', 40);
    expect(trace).toEqual(['0 again', '40 undo long completed done']);
  });

  it('FAIL_FAST_WITH_GRACE aborts the others after the grace', async () => {
    const { trace } = await runBeside('FAIL_FAST_WITH_GRACE', 300);
    expect(trace).toEqual(['0 again', `60 ${SagaCancelledError.name}`, '60 undo long unknown undefined']);
  });
});

describe('a result that comes after its step was given up', () => {
  const limits = { stepTimeout: 100, settleGrace: 50 };

  it.each([
    [180, 'while its undo runs', ['150 undo unknown undefined', '190 undo completed 7']],
    [300, 'after the saga has ended', ['150 undo unknown undefined', '300 undo completed 7']],
  ])('is undone again when it comes at %p ms, %s', async (ms, _when, expected) => {
    const world = new SagaWorld();
    const { clock } = world;
    const trace: string[] = [];
    const undo = async ({ outcome, result }: Undo) => {
      trace.push(`${clock.monotonic()} undo ${outcome} ${String(result)}`);
      await clock.delay(40);
    };
    const definition = saga(
      { pay: { run: () => clock.delay(ms).then(() => 7), undo, retry: false } },
      limits,
    );
    const { sagaId } = await world.start(definition);
    await clock.advance(1_000);
    expect(trace).toEqual(expected);
    expect(await world.status(sagaId)).toBe('compensated');
    expect(world.log.lines).toContainEqual(expect.stringMatching(/^error alarm undo.repeated/));
  });

  it('completes the step when it comes during the back-off, with its events', async () => {
    const world = new SagaWorld();
    const { clock } = world;
    const calls: number[] = [];
    const run = async (ctx: Action) => {
      calls.push(ctx.attempt);
      await ctx.publish({ type: `paid.${ctx.attempt}` });
      await clock.delay(160);
      return ctx.attempt;
    };
    const retry = { ...QUICK, initialInterval: 100, maxInterval: 100 };
    const result = await world.execute(saga({ pay: { run, retry } }, limits));
    expect(result).toMatchObject({ status: 'completed', results: { pay: 1 } });
    expect(clock.monotonic()).toBe(160);
    expect(calls).toEqual([1]);
    expect(world.events).toEqual(['paid.1']);
  });
});
