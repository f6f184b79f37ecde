import { SagaAdmin } from '../../lib/admin/saga-admin.js';
import { FencedError, IllegalTransitionError, NoEffectError, NonRetryableError } from '../../lib/index.js';
import { SagaRegistry } from '../../lib/saga/definition/saga-registry.js';
import { Deferred } from '../../lib/runtime/deferred.js';
import type { SagaDefinition } from '../../lib/saga/definition/saga-definition.js';
import { QUICK, saga, SagaWorld, type Undo } from '../support/saga-world.js';

const ADA = { actor: 'ada', reason: 'seen to it' };

/** An admin of a process that has no code at all: it knows the definitions only as they are stored. */
async function adminOf(world: SagaWorld, definition: SagaDefinition): Promise<SagaAdmin> {
  const { storage, interventions } = world;
  const { name, version, hash, data } = definition;
  await storage.saveDefinition({ name, version, hash, data: JSON.stringify(data) });
  const registry = new SagaRegistry();
  return new SagaAdmin({
    ...{ storage, interventions, registry },
    taken: () => undefined,
    cancelled: () => Promise.resolve(),
  });
}

/** Fails until it is mended. */
function fragile(error: Error = new NonRetryableError('broken')) {
  const calls: unknown[] = [];
  const step = {
    mended: false,
    calls,
    run: (context: unknown) => {
      calls.push(context);
      if (!step.mended) throw error;
    },
  };
  return step;
}

describe('an operator', () => {
  let world: SagaWorld;
  beforeEach(() => {
    world = new SagaWorld();
  });

  describe('of a failed saga', () => {
    const refund = fragile(new Error('bank is closed'));
    const undone: string[] = [];
    const note = (name: string) => (ctx: Undo) => void undone.push(`${name} ${ctx.outcome}`);
    const definition = saga(
      {
        stock: { run: () => undefined, undo: note('stock') },
        charge: { run: () => ({ paid: 3 }), undo: refund.run },
        ship: {
          run: () => {
            throw new NoEffectError('no carrier');
          },
          retry: 1,
        },
      },
      { compensationRetry: { ...QUICK, maxAttempts: 2 } },
    );

    beforeEach(() => {
      refund.mended = false;
      refund.calls.length = 0;
      undone.length = 0;
    });

    it('has its undo tried again, with all its attempts, and the saga ends compensated', async () => {
      const admin = await adminOf(world, definition);
      const { sagaId, status } = await world.execute(definition);
      expect([status, refund.calls.length, undone]).toEqual(['failed', 2, ['stock completed']]);
      // Not mended yet: it fails once more, visibly.
      expect(await admin.retry(sagaId, ADA)).toEqual({ sagaId, before: 'failed', after: 'compensating' });
      expect(await world.finish(sagaId, definition)).toMatchObject({
        status: 'failed',
        error: { standing: ['charge'] },
      });
      expect(refund.calls.length).toBe(4);
      refund.mended = true;
      await admin.retry(sagaId, ADA);
      expect((await world.finish(sagaId, definition)).status).toBe('compensated');
      expect(undone).toEqual(['stock completed']);
      expect(
        (await admin.audit({ target: sagaId })).map(({ action, actor, reason }) => [action, actor, reason]),
      ).toEqual([
        ['retry', 'ada', 'seen to it'],
        ['retry', 'ada', 'seen to it'],
      ]);
    });

    it('says that it was undone by hand: it is not called again, and the saga ends compensated', async () => {
      const admin = await adminOf(world, definition);
      const { sagaId } = await world.execute(definition);
      await admin.resolve(sagaId, 'charge', ADA);
      const result = await world.finish(sagaId, definition);
      expect(result).toMatchObject({ status: 'compensated', error: { message: 'no carrier' } });
      expect(refund.calls.length).toBe(2);
      const history = await admin.history(sagaId);
      expect(history.timeline).toContainEqual(
        expect.objectContaining({
          what: 'undone by an operator by hand',
          step: 'charge',
          actor: 'ada',
          message: 'seen to it',
        }),
      );
      expect(history.mermaid).toContain('charge: compensated');
    });

    it('is refused what its state does not allow, and nothing is changed', async () => {
      const admin = await adminOf(world, definition);
      const { sagaId } = await world.execute(definition);
      const before = await world.journal(sagaId);
      const refused = [
        admin.resolve(sagaId, 'stock'),
        admin.resume(sagaId),
        admin.skip(sagaId, 'charge'),
        admin.compensate(sagaId),
      ];
      for (const attempt of refused) await expect(attempt).rejects.toThrow(IllegalTransitionError);
      await expect(admin.cancel(sagaId)).rejects.toMatchObject({
        code: 'SAGAZ_NOT_CANCELLABLE',
        status: 409,
      });
      await expect(admin.resolve(sagaId, 'chrage')).rejects.toThrow(
        'has no step "chrage"; did you mean "charge"?',
      );
      await expect(admin.retry(sagaId, { actor: '' })).rejects.toThrow(
        'actor: expected a text of 1 to 200 characters',
      );
      await expect(admin.retry(sagaId, { reason: 'x'.repeat(2_001) })).rejects.toThrow('reason: expected');
      await expect(admin.retry('nope')).rejects.toMatchObject({ code: 'SAGAZ_NOT_FOUND', status: 404 });
      expect(await world.journal(sagaId)).toEqual(before);
      expect([await world.status(sagaId), await admin.audit()]).toEqual(['failed', []]);
    });

    it('with onCompensationFailure "stop" has the undos run that were never begun', async () => {
      const stopping = saga(
        {
          stock: { run: () => undefined, undo: note('stock') },
          charge: { run: () => undefined, undo: refund.run },
          ship: { run: fragile().run },
        },
        { onCompensationFailure: 'stop', compensationRetry: 1 },
      );
      const admin = await adminOf(world, stopping);
      const { sagaId } = await world.execute(stopping);
      expect([await world.status(sagaId), undone]).toEqual(['failed', []]);
      await admin.resolve(sagaId, 'charge');
      expect((await world.finish(sagaId, stopping)).status).toBe('compensated');
      expect(undone).toEqual(['stock completed']);
    });
  });

  describe('of a saga that was parked behind its pivot', () => {
    const label = fragile();
    const undone: string[] = [];
    const definition = saga({
      charge: { run: () => undefined, undo: () => void undone.push('charge') },
      ship: { run: () => 'shipped', pivot: true },
      label: { run: label.run },
      thank: { run: (ctx) => Object.keys(ctx.results) },
    });

    beforeEach(() => {
      label.mended = false;
      label.calls.length = 0;
      undone.length = 0;
    });

    it('has its failed step run again, and it completes', async () => {
      const admin = await adminOf(world, definition);
      const { sagaId, status } = await world.execute(definition);
      expect(status).toBe('parked');
      expect(await admin.retry(sagaId)).toMatchObject({ before: 'parked', after: 'running' });
      expect((await world.finish(sagaId, definition)).status).toBe('parked');
      label.mended = true;
      await admin.retry(sagaId);
      expect((await world.finish(sagaId, definition)).status).toBe('completed');
      expect(label.calls.length).toBe(3);
    });

    it('skips the step: those behind it run, without its result', async () => {
      const admin = await adminOf(world, definition);
      const { sagaId } = await world.execute(definition);
      expect(await admin.skip(sagaId, 'label', ADA)).toMatchObject({ before: 'parked', after: 'running' });
      const result = await world.finish(sagaId, definition);
      expect(result).toMatchObject({ status: 'completed', results: { ship: 'shipped', thank: ['ship'] } });
      expect(label.calls.length).toBe(1);
      expect((await admin.history(sagaId)).mermaid).toContain('label: skipped');
    });

    it('turns it back by force: what is before the pivot is undone, and the pivot is named as standing', async () => {
      const admin = await adminOf(world, definition);
      const { sagaId } = await world.execute(definition);
      expect(await admin.compensate(sagaId, ADA)).toMatchObject({ before: 'parked', after: 'compensating' });
      expect(await world.finish(sagaId, definition)).toMatchObject({
        status: 'compensated',
        error: { code: 'SAGAZ_NON_RETRYABLE', standing: ['ship'] },
      });
      expect(undone).toEqual(['charge']);
    });

    it('turns it back by force, and an undo gives up: the pivot is named as standing beside it', async () => {
      const stuck = saga({
        charge: { run: () => undefined, undo: fragile().run },
        ship: { run: () => 'shipped', pivot: true },
        label: { run: label.run },
      });
      const admin = await adminOf(world, stuck);
      const { sagaId } = await world.execute(stuck);
      await admin.compensate(sagaId, ADA);
      expect(await world.finish(sagaId, stuck)).toMatchObject({
        status: 'failed',
        error: { standing: ['charge', 'ship'] },
      });
    });

    it('does not resume it: it says what has failed', async () => {
      const admin = await adminOf(world, definition);
      const { sagaId } = await world.execute(definition);
      await expect(admin.resume(sagaId)).rejects.toThrow(
        'is parked: step "label" has failed; retry or skip it',
      );
    });

    it('skips one of two failed steps: it stays parked until the other is seen to as well', async () => {
      const [a, b] = [fragile(), fragile()];
      const fork = saga(
        {
          ship: { run: () => undefined, pivot: true, dependsOn: [] },
          a: { run: a.run, dependsOn: ['ship'] },
          b: { run: b.run, dependsOn: ['ship'] },
        },
        { failureStrategy: 'WAIT_ALL' },
      );
      const admin = await adminOf(world, fork);
      const { sagaId } = await world.execute(fork);
      expect(await admin.skip(sagaId, 'a')).toMatchObject({ before: 'parked', after: 'parked' });
      b.mended = true;
      await admin.retry(sagaId);
      expect((await world.finish(sagaId, fork)).status).toBe('completed');
      expect([a.calls.length, b.calls.length]).toEqual([1, 2]);
    });
  });

  it('resumes a saga that was parked because its processes died, and they count no more', async () => {
    const begun = new Deferred<void>();
    const definition = saga({ a: { run: () => begun.promise } });
    const admin = await adminOf(world, definition);
    const { sagaId, epoch, done } = await world.start(definition);
    world.kill({ sagaId, epoch } as never);
    begun.resolve();
    await done.catch(() => undefined);
    const claimed = await world.claim(sagaId, definition);
    const end = { results: '{}', error: '{"code":"SAGAZ_CRASH_LOOP","message":"5 processes"}' };
    await world.storage.append({
      sagaId,
      epoch: claimed.epoch,
      entries: [],
      events: [],
      status: 'parked',
      end,
    });
    await expect(admin.retry(sagaId)).rejects.toThrow('no step of it has failed; resume it');
    expect(await admin.resume(sagaId, ADA)).toMatchObject({ before: 'parked', after: 'running' });
    const again = await world.claim(sagaId, definition, 'three');
    expect(again.journal.at(-1)).toMatchObject({ kind: 'unparked', epoch: claimed.epoch + 1 });
    const run = world.go(again, definition);
    expect(run.runner.deaths).toBe(0);
    await world.clock.until(run.done);
    expect((await world.result(sagaId)).status).toBe('completed');
  });

  it('gives a step in a long back-off its next attempt at once, or skips it, and its owner is fenced', async () => {
    const slow = { ...QUICK, initialInterval: 600_000, maxInterval: 600_000 };
    const flaky = fragile(new Error('down'));
    const definition = saga({
      ship: { run: () => undefined, pivot: true },
      label: { run: flaky.run, retry: slow },
    });
    const admin = await adminOf(world, definition);
    const { sagaId, done } = await world.start(definition);
    await world.clock.until(done);
    expect([await world.status(sagaId), flaky.calls.length]).toEqual(['waiting', 1]);
    await admin.retry(sagaId);
    await world.clock.until((await world.takeOver(sagaId, definition)).done);
    expect([await world.status(sagaId), flaky.calls.length]).toEqual(['waiting', 2]);
    await admin.skip(sagaId, 'label');
    await world.clock.until((await world.takeOver(sagaId, definition, 'three')).done);
    expect([(await world.result(sagaId)).status, flaky.calls.length]).toEqual(['completed', 2]);
  });

  it('gives an undo in a long back-off its next attempt at once', async () => {
    const refund = fragile(new Error('bank is closed'));
    const slow = { ...QUICK, initialInterval: 600_000, maxInterval: 600_000 };
    const definition = saga({
      charge: { run: () => undefined, undo: refund.run, undoOptions: { retry: slow } },
      ship: { run: fragile().run },
    });
    const admin = await adminOf(world, definition);
    const { sagaId, done } = await world.start(definition);
    await world.clock.until(done);
    refund.mended = true;
    await admin.retry(sagaId);
    await world.clock.until((await world.takeOver(sagaId, definition)).done);
    expect([(await world.result(sagaId)).status, refund.calls.length]).toEqual(['compensated', 2]);
    await expect(admin.retry(sagaId)).rejects.toThrow('is compensated: nothing of it has failed');
  });

  it('retries an undo that gave up while another one still runs: it was refused as if nothing had failed', async () => {
    const refund = fragile(new Error('bank is closed'));
    let slow = true;
    const definition = saga(
      {
        charge: { run: () => undefined, undo: refund.run, undoOptions: { retry: 1 }, dependsOn: [] },
        stock: {
          run: () => undefined,
          undo: () => (slow ? new Promise(() => undefined) : undefined),
          dependsOn: [],
        },
        ship: { run: fragile().run, dependsOn: ['charge', 'stock'] },
      },
      { stepTimeout: 30_000 },
    );
    const admin = await adminOf(world, definition);
    const { sagaId, runner } = await world.start(definition);
    await world.clock.advance(1_000);
    expect([await world.status(sagaId), refund.calls.length]).toEqual(['compensating', 1]);
    refund.mended = true;
    slow = false;
    const answer = { before: 'compensating', after: 'compensating' };
    expect(await admin.retry(sagaId, ADA)).toMatchObject(answer);
    await world.clock.until((await world.takeOver(sagaId, definition)).done);
    expect([(await world.result(sagaId)).status, refund.calls.length]).toEqual(['compensated', 2]);
    runner.stop();
  });

  it('takes a running saga from a living owner: what that one was doing is undone when its time is up', async () => {
    const undone: string[] = [];
    const definition = saga(
      {
        charge: { run: () => new Promise(() => undefined), undo: ({ outcome }) => void undone.push(outcome) },
      },
      { settleGrace: 50, stepTimeout: 30_000 },
    );
    const admin = await adminOf(world, definition);
    const { sagaId, runner } = await world.start(definition);
    expect(await admin.compensate(sagaId, ADA)).toMatchObject({ before: 'running', after: 'compensating' });
    const { done } = await world.takeOver(sagaId, definition);
    await world.clock.advance(1_000);
    expect(undone).toEqual([]);
    await world.clock.until(done);
    expect(undone).toEqual(['unknown']);
    expect(await world.result(sagaId)).toMatchObject({
      status: 'compensated',
      error: { code: 'SAGAZ_CANCELLED', message: 'turned back by ada: seen to it' },
    });
    runner.stop();
  });

  it('does not skip the pivot of a saga that is to be cancelled: it turns back, and nothing behind the pivot runs', async () => {
    const calls: string[] = [];
    const definition = saga({
      charge: { run: () => undefined, undo: () => void calls.push('undo') },
      ship: { run: () => undefined, pivot: true, waitFor: 'packed', waitTimeout: '3d' },
      mail: { run: () => void calls.push('mail') },
    });
    const admin = await adminOf(world, definition);
    const { sagaId, done } = await world.start(definition);
    await world.clock.until(done);
    await admin.cancel(sagaId, ADA);
    const refused = admin.skip(sagaId, 'ship', ADA);
    await expect(refused).rejects.toThrow(IllegalTransitionError);
    await expect(refused).rejects.toThrow('is waiting: it is to be cancelled');
    await world.clock.until((await world.takeOver(sagaId, definition)).done);
    expect([await world.status(sagaId), calls]).toEqual(['compensated', ['undo']]);
  });

  describe('of a saga behind its pivot of which one step has given up while a sibling goes on', () => {
    const label = fragile();
    const calls: string[] = [];
    const slow = { ...QUICK, initialInterval: 600_000, maxInterval: 600_000 };

    beforeEach(() => {
      label.mended = false;
      label.calls.length = 0;
      calls.length = 0;
    });

    it('skips the sibling: the saga is parked with its error, by a worker, and can be retried', async () => {
      const fork = saga({
        ship: { run: () => undefined, pivot: true, dependsOn: [] },
        label: { run: label.run, dependsOn: ['ship'] },
        pack: { run: () => new Promise(() => undefined), dependsOn: ['ship'] },
      });
      const admin = await adminOf(world, fork);
      const { sagaId } = await world.start(fork);
      await world.clock.advance(100);
      expect([await world.status(sagaId), label.calls.length]).toEqual(['running', 1]);
      expect(await admin.skip(sagaId, 'pack', ADA)).toMatchObject({ before: 'running', after: 'running' });
      await world.clock.until((await world.takeOver(sagaId, fork)).done);
      expect(await world.result(sagaId)).toMatchObject({
        status: 'parked',
        error: { code: 'SAGAZ_NON_RETRYABLE', step: 'label' },
      });
      label.mended = true;
      await admin.retry(sagaId, ADA);
      expect((await world.finish(sagaId, fork)).status).toBe('completed');
    });

    it('retries what has given up together with the sibling in its long back-off: both get an attempt', async () => {
      const paused = fragile(new Error('down'));
      const fork = saga({
        ship: { run: () => undefined, pivot: true, dependsOn: [] },
        label: { run: label.run, dependsOn: ['ship'] },
        pack: { run: paused.run, dependsOn: ['ship'], retry: slow },
      });
      const admin = await adminOf(world, fork);
      const { sagaId } = await world.start(fork);
      await world.clock.advance(1_000);
      expect([await world.status(sagaId), paused.calls.length]).toEqual(['running', 1]);
      paused.mended = label.mended = true;
      expect(await admin.retry(sagaId, ADA)).toMatchObject({ before: 'running', after: 'running' });
      await world.clock.until((await world.takeOver(sagaId, fork)).done);
      expect([await world.status(sagaId), label.calls.length, paused.calls.length]).toEqual([
        'completed',
        2,
        2,
      ]);
    });

    it('retries one sibling while another one runs: what that one may have done is undone when the saga turns back', async () => {
      const paused = fragile(new Error('down'));
      const fork = saga({
        ship: { run: () => undefined, pivot: true, dependsOn: [] },
        label: { run: label.run, dependsOn: ['ship'] },
        pack: { run: paused.run, dependsOn: ['ship'], retry: slow },
        reserve: {
          run: () => new Promise(() => undefined),
          undo: ({ outcome }) => void calls.push(outcome),
          dependsOn: ['ship'],
        },
      });
      const admin = await adminOf(world, fork);
      const { sagaId } = await world.start(fork);
      await world.clock.advance(1_000);
      await admin.retry(sagaId, ADA);
      await admin.compensate(sagaId, ADA);
      await world.clock.until((await world.takeOver(sagaId, fork)).done);
      expect([await world.status(sagaId), calls]).toEqual(['compensated', ['unknown']]);
    });
  });

  describe('of a saga whose living owner sits in a short back-off', () => {
    const soon = { ...QUICK, maxAttempts: 20, initialInterval: 300, maxInterval: 300 };

    it('turns it back, and the old owner begins no attempt any more', async () => {
      const calls: string[] = [];
      const definition = saga({
        charge: {
          run: () => {
            calls.push('charge');
            throw new Error('502');
          },
          undo: () => void calls.push('undo'),
          retry: soon,
        },
      });
      const admin = await adminOf(world, definition);
      const { sagaId, done } = await world.start(definition);
      await world.clock.advance(400);
      expect(calls).toEqual(['charge', 'charge']);
      await admin.compensate(sagaId, ADA);
      await world.clock.advance(2_000);
      expect(calls).toEqual(['charge', 'charge']);
      await expect(done).rejects.toThrow(FencedError);
      await world.clock.until((await world.takeOver(sagaId, definition)).done);
      expect(calls).toEqual(['charge', 'charge', 'undo']);
    });

    it('resolves an undo that somebody has done by hand, and the old owner does not do it again', async () => {
      const refund = fragile(new Error('bank is closed'));
      const definition = saga(
        { charge: { run: () => undefined, undo: refund.run }, ship: { run: fragile().run } },
        { compensationRetry: soon },
      );
      const admin = await adminOf(world, definition);
      const { sagaId, done } = await world.start(definition);
      await world.clock.advance(100);
      expect(refund.calls.length).toBe(1);
      await admin.resolve(sagaId, 'charge', ADA);
      refund.mended = true;
      await world.clock.advance(2_000);
      await expect(done).rejects.toThrow(FencedError);
      expect(refund.calls.length).toBe(1);
    });
  });

  it('skips a step that runs: what it may have done is undone when the saga turns back', async () => {
    const undone: string[] = [];
    const definition = saga(
      {
        reserve: {
          run: () => new Promise(() => undefined),
          undo: ({ outcome }) => void undone.push(outcome),
        },
        ship: { run: fragile().run },
      },
      { stepTimeout: 1_000 },
    );
    const admin = await adminOf(world, definition);
    const { sagaId } = await world.start(definition);
    await admin.skip(sagaId, 'reserve');
    await world.clock.until((await world.takeOver(sagaId, definition)).done);
    expect([(await world.result(sagaId)).status, undone]).toEqual(['compensated', ['unknown']]);
  });

  it('skips a step that waits for a signal, and one whose turn has not come not', async () => {
    const definition = saga({
      a: { run: () => 'a', waitFor: 'paid', waitTimeout: '3d' },
      b: { run: () => 'b' },
    });
    const admin = await adminOf(world, definition);
    const { sagaId, done } = await world.start(definition);
    await world.clock.until(done);
    await expect(admin.skip(sagaId, 'b')).rejects.toThrow('step "b" is not_started, and only one that runs');
    await admin.skip(sagaId, 'a');
    await world.clock.until((await world.takeOver(sagaId, definition)).done);
    expect(await world.result(sagaId)).toMatchObject({ status: 'completed', results: { b: 'b' } });
  });

  it('does not skip or turn back what has not begun: that is cancelled', async () => {
    const definition = saga({ a: { run: () => undefined, waitFor: 'paid', waitTimeout: '3d' } });
    const admin = await adminOf(world, definition);
    const { name, version, hash } = definition;
    const [sagaId, inputHash, correlationId] = ['later', '', 'later'];
    await world.storage.create({
      ...{ sagaId, name, version, definition: hash, input: '{}', idempotencyKey: undefined, inputHash },
      ...{ correlationId, tags: {}, owner: undefined, launch: [], launchesPivot: false },
      ...{ timeoutMs: undefined, delayMs: 60_000 },
    });
    await expect(admin.skip(sagaId, 'a')).rejects.toThrow('is waiting: nothing of it has begun; cancel it');
    await expect(admin.compensate(sagaId)).rejects.toThrow('nothing of it has begun; cancel it');
    expect(await admin.cancel(sagaId)).toMatchObject({ before: 'waiting' });
  });

  it('is refused a completed saga, in every way', async () => {
    const definition = saga({ a: { run: () => undefined, undo: () => undefined } });
    const admin = await adminOf(world, definition);
    const { sagaId } = await world.execute(definition);
    const attempts = [
      admin.retry(sagaId),
      admin.skip(sagaId, 'a'),
      admin.resolve(sagaId, 'a'),
      admin.compensate(sagaId),
      admin.resume(sagaId),
    ];
    for (const attempt of attempts) await expect(attempt).rejects.toThrow(IllegalTransitionError);
    await expect(admin.skip(sagaId, undefined as never)).rejects.toThrow('step: name the step to skip');
  });

  it('decides anew when the saga moves under the decision, and gives up with a clear word', async () => {
    const definition = saga({ a: { run: () => new Promise(() => undefined) } });
    const admin = await adminOf(world, definition);
    const { sagaId } = await world.start(definition);
    let moves = 0;
    const intervene = world.interventions.intervene.bind(world.interventions);
    world.interventions.intervene = async (change) => {
      moves += 1;
      await world.storage.requestCancel(sagaId);
      // What another process does in between.
      const row = world.database.sagas.get(sagaId);
      if (row && moves < 3) row.epoch += 1;
      return intervene(change);
    };
    await admin.compensate(sagaId);
    expect(moves).toBe(3);
    world.interventions.intervene = () => Promise.resolve(false);
    const other = await world.start(definition);
    await expect(admin.compensate(other.sagaId)).rejects.toThrow('changes all the time; try again');
  });
});
