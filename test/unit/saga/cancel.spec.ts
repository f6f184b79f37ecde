import {
  SagaCancelledError,
  SagaNotCancellableError,
  SagaNotFoundError,
  SagaTimeoutError,
} from '../../../lib/saga/state/errors.js';
import { settled } from '../../support/fake-clock.js';
import { processOf, saga, SagaWorld, type Action, type Undo } from '../../support/saga-world.js';

function trip(world: SagaWorld) {
  const trace: string[] = [];
  const undo = ({ step }: Undo) => void trace.push(`undo ${step}`);
  const reasons: unknown[] = [];
  const wait = (ms: number) => async (ctx: Action) => {
    trace.push(ctx.step);
    ctx.signal.addEventListener('abort', () => reasons.push(ctx.signal.reason));
    await world.clock.delay(ms, ctx.signal);
  };
  return { trace, reasons, undo, wait };
}

async function start(one: ReturnType<typeof processOf>): Promise<string> {
  await one.lease.start();
  const { sagaId } = await one.orchestrator.start('trip', {});
  await settled();
  return sagaId;
}

describe('orchestrator.cancel', () => {
  it('turns a saga back before its pivot, aborts what runs and undoes it', async () => {
    const world = new SagaWorld();
    const { trace, reasons, undo, wait } = trip(world);
    const definition = saga({
      hotel: { run: wait(0), undo },
      flight: { run: wait(1e6), undo },
      pay: { pivot: true },
    });
    const one = processOf(world, definition, 'one');
    const sagaId = await start(one);
    await one.orchestrator.cancel(sagaId);
    await one.orchestrator.cancel(sagaId);
    await expect(world.clock.until(one.orchestrator.result(sagaId))).resolves.toMatchObject({
      status: 'compensated',
      error: { code: 'SAGAZ_CANCELLED', message: 'the saga was cancelled' },
    });
    expect(trace).toEqual(['hotel', 'flight', 'undo flight', 'undo hotel']);
    expect(reasons).toEqual([expect.any(SagaCancelledError)]);
    await expect(one.orchestrator.cancel(sagaId)).rejects.toThrow(SagaNotCancellableError);
    await one.lease.stop(true);
  });

  it('is refused once the pivot was launched, and the saga goes on', async () => {
    const world = new SagaWorld();
    const { trace, undo, wait } = trip(world);
    const definition = saga({ hotel: { run: wait(0), undo }, pay: { run: wait(100), pivot: true } });
    const one = processOf(world, definition, 'one');
    const sagaId = await start(one);
    await expect(one.orchestrator.cancel(sagaId)).rejects.toThrow(/has reached its point of no return/);
    await expect(world.clock.until(one.orchestrator.result(sagaId))).resolves.toMatchObject({
      status: 'completed',
    });
    expect(trace).toEqual(['hotel', 'pay']);
    await one.lease.stop(true);
  });

  it('is asked for although this process has lost the saga without knowing: its next owner turns it back', async () => {
    const world = new SagaWorld();
    const { trace, undo, wait } = trip(world);
    const definition = saga({ hotel: { run: wait(0), undo }, flight: { run: wait(1e6) } });
    const one = processOf(world, definition, 'one');
    const sagaId = await start(one);
    const row = world.database.sagas.get(sagaId);
    Object.assign(row ?? {}, { epoch: 2, owner: undefined });
    await one.orchestrator.cancel(sagaId);
    await world.clock.until((await world.takeOver(sagaId, definition)).done);
    expect(await world.status(sagaId)).toBe('compensated');
    expect(trace.at(-1)).toBe('undo hotel');
    await one.lease.stop(true);
  });

  it('knows no saga that is not there', async () => {
    const world = new SagaWorld();
    const { orchestrator } = processOf(world, saga({ hotel: {} }), 'one');
    await expect(orchestrator.cancel('nobody')).rejects.toThrow(SagaNotFoundError);
  });

  it('reaches a saga that another process runs', async () => {
    const world = new SagaWorld();
    const { trace, undo, wait } = trip(world);
    const definition = saga({ hotel: { run: wait(1e6), undo } }, { stepTimeout: '1h' });
    const [one, two] = [processOf(world, definition, 'one'), processOf(world, definition, 'two')];
    one.worker.start();
    const sagaId = await start(one);
    await two.orchestrator.cancel(sagaId);
    await world.clock.advance(1_000);
    await expect(world.clock.until(one.orchestrator.result(sagaId))).resolves.toMatchObject({
      status: 'compensated',
      error: { code: 'SAGAZ_CANCELLED' },
    });
    expect(trace).toEqual(['hotel', 'undo hotel']);
    await one.worker.stop(100);
    await one.lease.stop(true);
  });

  it('wins against a pivot that would be launched by the very next write: its handler is never called', async () => {
    const world = new SagaWorld();
    const { trace, undo, wait } = trip(world);
    const definition = saga({ hotel: { run: wait(10), undo }, pay: { run: wait(0), pivot: true } });
    const { sagaId, done } = await world.start(definition);
    world.storage.beforeWrite = async ({ launchesPivot }) => {
      if (launchesPivot) expect(await world.storage.requestCancel(sagaId)).toBe('requested');
    };
    await world.clock.until(done);
    await expect(world.result(sagaId)).resolves.toMatchObject({
      status: 'compensated',
      error: { code: 'SAGAZ_CANCELLED' },
      results: {},
    });
    expect(trace).toEqual(['hotel', 'undo hotel']);
    expect(await world.journal(sagaId)).toEqual([
      'compensating',
      'step_completed hotel',
      'undo_completed hotel',
    ]);
  });

  it('wins against the write that would complete the saga', async () => {
    const world = new SagaWorld();
    const { trace, undo, wait } = trip(world);
    const { sagaId, done } = await world.start(saga({ hotel: { run: wait(10), undo } }));
    world.storage.beforeWrite = async ({ status }) => {
      if (status === 'completed') await world.storage.requestCancel(sagaId);
    };
    await world.clock.until(done);
    expect(await world.status(sagaId)).toBe('compensated');
    expect(trace).toEqual(['hotel', 'undo hotel']);
  });
});

describe('the time-out of a saga', () => {
  it('turns it back before the pivot, with the reason for what runs', async () => {
    const world = new SagaWorld();
    const { trace, reasons, undo, wait } = trip(world);
    const definition = saga(
      { hotel: { run: wait(40), undo }, flight: { run: wait(1e6), undo } },
      { timeout: 100 },
    );
    await expect(world.execute(definition)).resolves.toMatchObject({
      status: 'compensated',
      error: { code: 'SAGAZ_SAGA_TIMEOUT', message: 'the saga did not end within 100 ms' },
    });
    expect(world.clock.monotonic()).toBe(100);
    expect(trace).toEqual(['hotel', 'flight', 'undo flight', 'undo hotel']);
    expect(reasons).toEqual([expect.any(SagaTimeoutError)]);
  });

  it('only raises an alarm once the pivot was launched', async () => {
    const world = new SagaWorld();
    const { wait } = trip(world);
    const definition = saga(
      { pay: { run: wait(150), pivot: true }, mail: { run: wait(10) } },
      { timeout: 100 },
    );
    await expect(world.execute(definition)).resolves.toMatchObject({ status: 'completed' });
    const alarms = world.log.lines.filter((line) => line.startsWith('error alarm'));
    expect(alarms).toEqual([expect.stringMatching(/^error alarm saga.overdue .*SAGAZ_SAGA_TIMEOUT/)]);
  });

  it('also ends the wait for the next attempt, in which no process runs the saga', async () => {
    const world = new SagaWorld();
    const { trace, undo } = trip(world);
    const fails = () => {
      throw new Error('not now');
    };
    const retry = { initialInterval: '1h', maxInterval: '1h', jitter: 'none' } as const;
    const definition = saga({ hotel: { undo }, flight: { run: fails, retry } }, { timeout: '1m' });
    const { sagaId, done } = await world.start(definition);
    await expect(world.clock.until(done)).resolves.toBe('released');
    expect(await world.status(sagaId)).toBe('waiting');
    await expect(world.finish(sagaId, definition)).resolves.toMatchObject({
      status: 'compensated',
      error: { code: 'SAGAZ_SAGA_TIMEOUT' },
    });
    expect(world.clock.monotonic()).toBe(60_000);
    expect(trace).toEqual(['undo hotel']);
  });
});
