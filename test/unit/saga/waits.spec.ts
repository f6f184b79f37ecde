import { SagazTelemetry } from '../../../lib/runtime/telemetry.js';
import { SagaNotFoundError, SignalTooLateError } from '../../../lib/saga/state/errors.js';
import { processOf, saga, SagaWorld, type Action, type Undo } from '../../support/saga-world.js';

const HOUR = 3_600_000;

/** A process in which sagas run, and what their handlers did. */
async function trips(steps: Parameters<typeof saga>[0], options: Parameters<typeof saga>[1] = {}) {
  const world = new SagaWorld();
  const one = processOf(world, saga(steps, options), 'one');
  await one.lease.start();
  one.worker.start();
  const { orchestrator } = one;
  const status = (sagaId: string) => world.status(sagaId);
  const row = (sagaId: string) => {
    const found = world.database.sagas.get(sagaId);
    if (!found) throw new Error(`there is no ${sagaId}`);
    return found;
  };
  return { ...one, world, clock: world.clock, orchestrator, status, row };
}

function tracing() {
  const trace: string[] = [];
  return {
    trace,
    run: (ctx: Action) => {
      const { signalPayload } = ctx;
      trace.push(signalPayload === undefined ? ctx.step : `${ctx.step} ${JSON.stringify(signalPayload)}`);
    },
    undo: ({ step }: Undo) => void trace.push(`undo ${step}`),
  };
}

describe('a saga whose time runs out while a handler blocks its process', () => {
  it('turns back, and does not go to wait for a signal', async () => {
    const { trace, run, undo } = tracing();
    const { orchestrator, clock, status } = await trips(
      { book: { run: () => clock.block(61_000), undo }, ship: { run, waitFor: 'paid' } },
      { timeout: '1m' },
    );
    const { sagaId } = await orchestrator.start('trip', {});
    await clock.advance(2_000);
    expect(await status(sagaId)).toBe('compensated');
    expect(trace).toEqual(['undo book']);
  });
});

describe('a step with a delay', () => {
  it('starts so long after the steps before it, and no process holds its saga meanwhile', async () => {
    const { trace, run, undo } = tracing();
    const { orchestrator, clock, executor, status, world } = await trips({
      book: { run, undo },
      remind: { run, delay: '1h', undo },
    });
    const { sagaId, result } = await orchestrator.start('trip', {});
    await clock.advance(100);
    expect([trace, await status(sagaId), executor.held]).toEqual([['book'], 'waiting', []]);
    await clock.advance(HOUR - 200);
    expect(trace).toEqual(['book']);
    await clock.advance(2_000);
    expect(await result()).toMatchObject({ status: 'completed' });
    expect(trace).toEqual(['book', 'remind']);
    expect(await world.journal(sagaId)).toEqual([
      'step_completed book',
      'resumed',
      'timer_fired remind -> remind',
      'step_completed remind',
    ]);
  });

  it('counts its delay from the start of the saga when nothing is before it', async () => {
    const { trace, run } = tracing();
    const { orchestrator, clock } = await trips({ remind: { run, delay: '1h', readOnly: true } });
    const { result } = await orchestrator.start('trip', {});
    await clock.advance(HOUR - 1_000);
    expect(trace).toEqual([]);
    await clock.advance(2_500);
    expect(await result()).toMatchObject({ status: 'completed' });
  });

  it('keeps its time when the process goes away while a step beside it runs', async () => {
    const { trace, run, undo } = tracing();
    const world = new SagaWorld();
    const definition = saga({
      book: { run, undo, dependsOn: [] },
      remind: { run, delay: '1h', dependsOn: ['book'], undo },
      wait: { run: () => world.clock.delay(20_000), dependsOn: ['book'], timeout: '30s', undo },
    });
    const first = await world.start(definition);
    await world.clock.advance(10_000);
    first.runner.drain();
    await world.clock.advance(10_000);
    await first.done;
    expect((await world.finish(first.sagaId, definition)).durationMs).toBeGreaterThanOrEqual(HOUR);
    expect((await world.finish(first.sagaId, definition)).durationMs).toBeLessThan(HOUR + 1_000);
    expect(trace).toEqual(['book', 'remind']);
  });

  it('is cancelled like any other before its time', async () => {
    const { trace, run, undo } = tracing();
    const { orchestrator, clock } = await trips({
      book: { run, undo },
      pay: { run, delay: '1h', pivot: true },
    });
    const { sagaId, result } = await orchestrator.start('trip', {});
    await clock.advance(100);
    await orchestrator.cancel(sagaId);
    await clock.advance(2_000);
    expect(await result()).toMatchObject({ status: 'compensated', error: { code: 'SAGAZ_CANCELLED' } });
    expect(trace).toEqual(['book', 'undo book']);
  });

  it('turns back at the deadline of its saga', async () => {
    const { trace, run, undo } = tracing();
    const { orchestrator, clock } = await trips(
      { book: { run, undo }, pay: { run, delay: '1h', undo } },
      { timeout: '10m' },
    );
    const { result } = await orchestrator.start('trip', {});
    await clock.advance(602_000);
    expect(await result()).toMatchObject({ status: 'compensated', error: { code: 'SAGAZ_SAGA_TIMEOUT' } });
    expect(trace).toEqual(['book', 'undo book']);
  });
});

describe('a saga with a delay', () => {
  it('starts at its time; its time-out and the delays of its steps count from there', async () => {
    const { trace, run, undo } = tracing();
    const { orchestrator, clock, status, executor } = await trips(
      { book: { run, undo }, remind: { run, delay: '1m', undo } },
      { timeout: '5m' },
    );
    const { sagaId, result } = await orchestrator.start('trip', {}, { delay: '1h' });
    await clock.advance(HOUR - 100);
    expect([trace, await status(sagaId), executor.held]).toEqual([[], 'waiting', []]);
    await clock.advance(5_000);
    expect(trace).toEqual(['book']);
    await clock.advance(60_000);
    const ended = await result();
    expect(ended.status).toBe('completed');
    expect(ended.durationMs).toBeLessThan(70_000);
  });

  it('can be cancelled before, and has done nothing then', async () => {
    const { trace, run } = tracing();
    const { orchestrator, clock } = await trips({ book: { run, readOnly: true } });
    const { sagaId, result } = await orchestrator.start('trip', {}, { delay: '1h' });
    await orchestrator.cancel(sagaId);
    await clock.advance(2_000);
    expect(await result()).toMatchObject({ status: 'compensated', durationMs: 0 });
    expect(trace).toEqual([]);
  });

  it('refuses what is no duration', async () => {
    const { orchestrator } = await trips({ book: { readOnly: true } });
    await expect(orchestrator.start('trip', {}, { delay: 'soon' as '1h' })).rejects.toThrow(
      "delay: expected a duration such as 250, '250ms', '5s', got soon",
    );
  });
});

describe('a step that waits for a signal', () => {
  const approval = () => {
    const { trace, run, undo } = tracing();
    const steps = {
      hold: { run, undo },
      approve: { run, waitFor: 'approved', waitTimeout: '1h', undo },
      confirm: { run, undo },
    } as const;
    return { trace, steps };
  };

  it('starts with the payload of the signal, and no process holds its saga meanwhile', async () => {
    const { trace, steps } = approval();
    const { orchestrator, clock, status, executor, world } = await trips(steps);
    const { sagaId, result } = await orchestrator.start('trip', {});
    await clock.advance(HOUR / 2);
    expect([trace, await status(sagaId), executor.held]).toEqual([['hold'], 'waiting', []]);
    const receipt = await orchestrator.signal(sagaId, 'approved', { by: 'Ada' }, { id: 's1' });
    expect(receipt).toEqual({ sagaId, id: 's1', duplicate: false });
    await clock.advance(2_000);
    expect(await result()).toMatchObject({ status: 'completed' });
    expect(trace).toEqual(['hold', 'approve {"by":"Ada"}', 'confirm']);
    expect(await world.journal(sagaId)).toEqual([
      'step_completed hold',
      'resumed',
      'signal_received approve -> approve',
      'step_completed approve -> confirm',
      'step_completed confirm',
    ]);
  });

  it('uses a signal that came before it waits', async () => {
    const { trace, steps } = approval();
    const { orchestrator, clock } = await trips({ ...steps, hold: { run: () => clock.delay(500) } });
    const { sagaId, result } = await orchestrator.start('trip', {});
    await clock.advance(100);
    await orchestrator.signal(sagaId, 'approved', 1);
    await clock.advance(1_000);
    expect(await result()).toMatchObject({ status: 'completed' });
    expect(trace).toEqual(['approve 1', 'confirm']);
  });

  it('counts a signal id once, also after it was used', async () => {
    const { trace, run } = tracing();
    const steps = {
      first: { run, waitFor: 'go', waitTimeout: '1h', readOnly: true },
      second: { run, waitFor: 'go', waitTimeout: '1h', readOnly: true },
    } as const;
    const { orchestrator, clock } = await trips(steps);
    const { sagaId, result } = await orchestrator.start('trip', {});
    await orchestrator.signal(sagaId, 'go', 1, { id: 'one' });
    expect(await orchestrator.signal(sagaId, 'go', 2, { id: 'one' })).toMatchObject({ duplicate: true });
    await clock.advance(60_000);
    expect(await orchestrator.signal(sagaId, 'go', 3, { id: 'one' })).toMatchObject({ duplicate: true });
    await clock.advance(60_000);
    expect(trace).toEqual(['first 1']);
    await orchestrator.signal(sagaId, 'go', 4, { id: 'two' });
    await clock.advance(2_000);
    expect(await result()).toMatchObject({ status: 'completed' });
    expect(trace).toEqual(['first 1', 'second 4']);
    expect(await orchestrator.signal(sagaId, 'go', 5, { id: 'two' })).toMatchObject({ duplicate: true });
  });

  it('gives parallel steps that wait for the same name one signal each, in the order in which they came', async () => {
    const { trace, run } = tracing();
    const wait = { run, waitFor: 'go', waitTimeout: '1h', readOnly: true, dependsOn: [] } as const;
    const { orchestrator, clock } = await trips({ left: wait, right: wait });
    const { sagaId, result } = await orchestrator.start('trip', {});
    await orchestrator.signal(sagaId, 'go', 1);
    await orchestrator.signal(sagaId, 'go', 2);
    await clock.advance(2_000);
    expect(await result()).toMatchObject({ status: 'completed' });
    expect(trace).toEqual(['left 1', 'right 2']);
  });

  it('fails without an effect when the signal does not come in time, and the saga turns back', async () => {
    const { trace, steps } = approval();
    const { orchestrator, clock } = await trips(steps);
    const { sagaId, result } = await orchestrator.start('trip', {});
    await clock.advance(HOUR - 1_000);
    expect(trace).toEqual(['hold']);
    await clock.advance(3_000);
    expect(await result()).toMatchObject({
      status: 'compensated',
      error: {
        code: 'SAGAZ_WAIT_TIMEOUT',
        step: 'approve',
        message: 'Trip.approve: the signal "approved" did not come within 3600000 ms',
      },
    });
    expect(trace).toEqual(['hold', 'undo hold']);
    await expect(orchestrator.signal(sagaId, 'approved')).rejects.toThrow(
      new SignalTooLateError(`the signal "approved" came too late: saga ${sagaId} is compensated`),
    );
  });

  it('does not time out over a signal that came at the last moment, whoever took it', async () => {
    const { trace, steps } = approval();
    const world = new SagaWorld();
    const definition = saga(steps);
    const first = await world.start(definition);
    await first.done;
    await world.clock.advance(HOUR);
    const claimed = await world.claim(first.sagaId, definition);
    // Between the claim and the end of the wait.
    expect(
      await world.storage.signal({ sagaId: first.sagaId, id: 's', name: 'approved', payload: '1' }),
    ).toBe('accepted');
    await world.clock.until(world.go(claimed, definition).done);
    expect((await world.result(first.sagaId)).status).toBe('completed');
    expect(trace).toEqual(['hold', 'approve 1', 'confirm']);
  });

  it('is not parked past a signal that its process has not seen', async () => {
    const { trace, steps } = approval();
    const world = new SagaWorld();
    const definition = saga(steps);
    world.storage.beforeWrite = async ({ sagaId, status }) => {
      if (status === 'waiting')
        await world.storage.signal({ sagaId, id: 's', name: 'approved', payload: '1' });
    };
    const { sagaId, done } = await world.start(definition);
    await done;
    expect(await world.finish(sagaId, definition)).toMatchObject({ status: 'completed' });
    expect(world.clock.monotonic()).toBe(0);
    expect(trace).toEqual(['hold', 'approve 1', 'confirm']);
  });

  it('starts in the process that holds its saga for another step, when another process took the signal', async () => {
    const { trace, run, undo } = tracing();
    const { orchestrator, clock, world } = await trips({
      hold: { run: () => clock.delay(20_000), dependsOn: [], undo },
      approve: { run, waitFor: 'approved', waitTimeout: '1h', dependsOn: [], undo },
    });
    const { sagaId } = await orchestrator.start('trip', {});
    await clock.advance(5_000);
    await world.storage.signal({ sagaId, id: 's', name: 'approved', payload: '1' });
    await clock.advance(1_100);
    expect(trace).toEqual(['approve 1']);
  });

  it('can be cancelled, and the signal comes too late then', async () => {
    const { trace, steps } = approval();
    const { orchestrator, clock } = await trips(steps);
    const { sagaId, result } = await orchestrator.start('trip', {});
    await clock.advance(100);
    await orchestrator.cancel(sagaId);
    await clock.advance(2_000);
    expect(await result()).toMatchObject({ status: 'compensated', error: { code: 'SAGAZ_CANCELLED' } });
    expect(trace).toEqual(['hold', 'undo hold']);
    await expect(orchestrator.signal(sagaId, 'approved')).rejects.toMatchObject({ status: 409 });
  });

  it('holds no place of the concurrency, and as a pivot does not stop a cancel', async () => {
    const { trace, run } = tracing();
    const { orchestrator, clock } = await trips(
      {
        other: { run, readOnly: true, dependsOn: [] },
        last: { run, readOnly: true, dependsOn: ['other'] },
        pay: { run, waitFor: 'paid', waitTimeout: '1h', pivot: true, dependsOn: ['last'] },
      },
      { concurrency: 1 },
    );
    const { sagaId, result } = await orchestrator.start('trip', {});
    await clock.advance(100);
    await orchestrator.cancel(sagaId);
    await clock.advance(2_000);
    expect(await result()).toMatchObject({ status: 'compensated' });
    expect(trace).toEqual(['other', 'last']);
  });

  it('is tried again with the same payload, also by the process that takes the saga over', async () => {
    const payloads: unknown[] = [];
    const world = new SagaWorld();
    const definition = saga({
      approve: {
        waitFor: 'approved',
        waitTimeout: '1h',
        readOnly: true,
        retry: { maxAttempts: 3, initialInterval: '10s', jitter: 'none' },
        run: (ctx: Action) => {
          payloads.push(ctx.signalPayload);
          (ctx.signalPayload as { changed?: boolean }).changed = true;
          if (payloads.length < 3) throw new Error('busy');
        },
      },
    });
    const { sagaId, done } = await world.start(definition);
    await done;
    await world.storage.signal({ sagaId, id: 's', name: 'approved', payload: '{"by":"Ada"}' });
    expect(await world.finish(sagaId, definition)).toMatchObject({ status: 'completed' });
    expect(payloads).toEqual([1, 2, 3].map(() => ({ by: 'Ada', changed: true })));
  });

  it('parks the saga after the pivot when it waits in vain: there is no way back', async () => {
    const { run } = tracing();
    const { orchestrator, clock } = await trips({
      pay: { run, pivot: true },
      ship: { run, waitFor: 'packed', waitTimeout: '1h' },
    });
    const { result } = await orchestrator.start('trip', {});
    await clock.advance(2 * HOUR);
    expect(await result()).toMatchObject({ status: 'parked', error: { code: 'SAGAZ_WAIT_TIMEOUT' } });
  });
});

describe('orchestrator.signal', () => {
  const waiting = () => trips({ approve: { waitFor: 'approved', waitTimeout: '1h', readOnly: true } });

  it('finds a saga by its idempotency key', async () => {
    const { orchestrator, clock } = await waiting();
    const { sagaId, result } = await orchestrator.start('trip', {}, { idempotencyKey: 'order 1' });
    const receipt = await orchestrator.signal({ saga: 'trip', key: 'order 1' }, 'approved');
    expect(receipt.sagaId).toBe(sagaId);
    await clock.advance(1_000);
    expect(await result()).toMatchObject({ status: 'completed' });
    const unknown = orchestrator.signal({ saga: 'trip', key: 'order 2' }, 'approved');
    await expect(unknown).rejects.toThrow(
      new SagaNotFoundError('there is no saga "trip" with the idempotency key "order 2"'),
    );
  });

  it.each([
    ['aproved', 1, {}, 'no step waits for it; did you mean "approved"?'],
    ['approved', { at: new Map() }, {}, 'payload.at'],
    ['approved', 1, { id: '' }, "id: expected a text of 1 to 200 characters, got ''"],
    ['approved', 'x'.repeat(2_000), {}, 'the limit payload.maxBytes is 1000'],
  ])('refuses what is wrong, and stores nothing (%#)', async (name, payload, options, message) => {
    const { orchestrator, clock, row } = await waiting();
    const { sagaId } = await orchestrator.start('trip', {});
    await clock.advance(10);
    await expect(orchestrator.signal(sagaId, name, payload, options)).rejects.toThrow(message);
    expect(row(sagaId).signals).toEqual([]);
  });

  it('knows no saga that is not there', async () => {
    const { orchestrator } = await waiting();
    await expect(orchestrator.signal('nobody', 'approved')).rejects.toThrow(SagaNotFoundError);
  });

  it('tells of signals', async () => {
    const { world, orchestrator } = await waiting();
    const told: unknown[] = [];
    const stop = SagazTelemetry.subscribe('signal.received', ({ signal, duplicate }) => {
      told.push([signal, duplicate]);
    });
    const { sagaId } = await orchestrator.start('trip', {});
    await orchestrator.signal(sagaId, 'approved', 1, { id: 'a' });
    await orchestrator.signal(sagaId, 'approved', 1, { id: 'a' });
    stop();
    expect(told).toEqual([
      ['approved', false],
      ['approved', true],
    ]);
    await world.clock.advance(10);
  });
});
