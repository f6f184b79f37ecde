import { Deferred } from '../../../lib/runtime/deferred.js';
import type { SagaDefinition } from '../../../lib/saga/definition/saga-definition.js';
import type { CompensateOn } from '../../../lib/saga/definition/saga-options.js';
import { attemptOnce } from '../../../lib/saga/execution/attempt.js';
import { resultsOf } from '../../../lib/saga/execution/handler-context.js';
import { JobControl } from '../../../lib/saga/execution/job-control.js';
import {
  reachedStatus,
  readySteps,
  readyUndos,
  relaunches,
  running,
} from '../../../lib/saga/execution/decisions.js';
import { endOf } from '../../../lib/saga/execution/saga-result.js';
import { applyEntry, initialState } from '../../../lib/saga/execution/saga-fold.js';
import { launchSteps, stateOf, type SagaState } from '../../../lib/saga/execution/saga-state.js';
import {
  DefinitionChangedError,
  SagaCancelledError,
  StepTimeoutError,
} from '../../../lib/saga/state/errors.js';
import type { JournalEntry, JournalKind } from '../../../lib/saga/state/journal.js';
import type { Outcome } from '../../../lib/saga/state/step-status.js';
import { FakeClock, settled } from '../../support/fake-clock.js';
import { saga } from '../../support/saga-world.js';

const undo = () => undefined;

interface Fact {
  readonly kind: JournalKind;
  readonly step?: string;
  readonly data?: unknown;
  readonly launch?: readonly string[];
}

const completed = (step: string, data: unknown = null, launch: string[] = []): Fact => ({
  kind: 'step_completed',
  step,
  data,
  launch,
});
const failed = (step: string, outcome: Outcome, launch: string[] = []): Fact => ({
  kind: 'step_failed',
  step,
  launch,
  data: { code: 'ERROR', message: `${step} failed`, step, outcome },
});
const undone = (step: string): Fact => ({ kind: 'undo_completed', step });
const undoFailed = (step: string): Fact => ({
  kind: 'undo_failed',
  step,
  data: { code: 'ERROR', message: `${step} stays`, step },
});
const resumed = (launch: string[] = []): Fact => ({ kind: 'resumed', launch });

/** The state of a saga whose first row launched these steps, after these facts. */
function after(definition: SagaDefinition, launch: readonly string[], ...facts: readonly Fact[]): SagaState {
  const entries = facts.map(({ kind, step = null, data, launch: next = [] }, index): JournalEntry => ({
    ...{ seq: index + 1, epoch: 1, kind, step, attempt: 1, launch: next },
    data: data === undefined ? null : JSON.stringify(data),
  }));
  return entries.reduce(
    (state, entry) => applyEntry(definition, state, entry),
    initialState(definition, launch),
  );
}

/** The same, with nothing running afterwards that the facts do not name. */
function launched(definition: SagaDefinition, ...facts: readonly Fact[]): SagaState {
  return after(definition, [...new Set(facts.flatMap(({ step }) => step ?? []))], ...facts);
}

describe('the fold of a journal', () => {
  const definition = saga({
    hotel: { undo },
    book: { undo, transactional: true },
    pay: { pivot: true },
    mail: {},
  });

  it('begins with the steps that the first row launched', () => {
    const state = initialState(definition, ['hotel']);
    expect(state).toMatchObject({ status: 'running', seq: 0, failure: undefined });
    expect(stateOf(state, 'hotel')).toMatchObject({ status: 'started', launches: 1, outcome: undefined });
    expect(stateOf(state, 'book')).toMatchObject({ status: 'not_started', launches: 0 });
  });

  it('keeps the result of a completed step and starts what its entry launched', () => {
    const state = after(definition, ['hotel'], completed('hotel', { room: 7 }, ['book']));
    expect(state.seq).toBe(1);
    expect(stateOf(state, 'hotel')).toMatchObject({
      status: 'completed',
      outcome: 'completed',
      result: '{"room":7}',
    });
    expect(running(state)).toEqual(['book']);
    expect(resultsOf(state)).toEqual({ hotel: { room: 7 } });
  });

  it('leaves the state before it as it was', () => {
    const before = initialState(definition, ['hotel']);
    const copy = structuredClone({ ...before, definition: undefined });
    applyEntry(definition, before, {
      ...{ seq: 1, epoch: 1, kind: 'step_completed', step: 'hotel', attempt: 1, launch: ['book'], data: '1' },
    });
    expect({ ...before, definition: undefined }).toEqual(copy);
  });

  it('turns back at a failed step before the pivot, with the first failure as its reason', () => {
    const parallel = saga({ hotel: { dependsOn: [] }, flight: {} });
    const state = after(
      parallel,
      ['hotel', 'flight'],
      failed('flight', 'failed'),
      failed('hotel', 'unknown'),
    );
    expect(state).toMatchObject({
      status: 'compensating',
      failure: { step: 'flight', message: 'flight failed' },
    });
    expect(stateOf(state, 'hotel')).toMatchObject({ status: 'failed', outcome: 'unknown' });
  });

  it('takes the worst outcome of all attempts: a known failure does not heal an unknown one', () => {
    const lost = after(definition, ['hotel'], resumed(['hotel']));
    expect(stateOf(lost, 'hotel')).toMatchObject({ status: 'started', outcome: 'unknown', launches: 2 });
    const state = after(definition, ['hotel'], resumed(['hotel']), failed('hotel', 'failed'));
    expect(stateOf(state, 'hotel')).toMatchObject({ status: 'failed', outcome: 'unknown' });
  });

  it('counts a lost ordinary step as unknown and a lost transactional one as failed', () => {
    const parallel = saga({
      hotel: { dependsOn: [], undo },
      book: { dependsOn: [], transactional: true, undo },
      flight: { dependsOn: [] },
    });
    const all = ['hotel', 'book', 'flight'];
    const unknown = { outcome: 'unknown', interrupted: true };
    const failure = { outcome: 'failed', interrupted: false };
    const forward = after(parallel, all, resumed());
    expect(stateOf(forward, 'hotel')).toMatchObject({ status: 'started', ...unknown });
    expect(stateOf(forward, 'book')).toMatchObject({ status: 'started', ...failure });
    const back = after(parallel, all, failed('flight', 'failed'), resumed());
    expect(stateOf(back, 'hotel')).toMatchObject({ status: 'failed', ...unknown });
    expect(stateOf(back, 'book')).toMatchObject({ status: 'failed', ...failure });
  });

  it('ends the interrupted sibling of a step that parks the saga: nobody launches it again', () => {
    const fork = saga({
      pay: { dependsOn: [], pivot: true },
      mail: { dependsOn: ['pay'] },
      ship: { dependsOn: ['pay'] },
    });
    const lost = [completed('pay', null, ['mail', 'ship']), failed('mail', 'failed'), resumed()];
    const state = after(fork, ['pay'], ...lost);
    expect(stateOf(state, 'ship')).toMatchObject({ status: 'failed', outcome: 'unknown' });
    expect(running(state)).toEqual([]);
  });

  it('counts no attempt for steps that were cut short by a shutdown or not begun before it', () => {
    const parallel = saga({
      hotel: { dependsOn: [] },
      flight: { dependsOn: [] },
      book: { dependsOn: [], transactional: true },
    });
    const all = ['hotel', 'flight', 'book'];
    const drained: Fact = { kind: 'released', data: { unrun: ['hotel'], cut: ['flight', 'book'] } };
    const state = after(parallel, all, drained);
    expect(stateOf(state, 'hotel')).toMatchObject({
      ...{ status: 'not_started', launches: 0, outcome: undefined },
    });
    expect(stateOf(state, 'flight')).toMatchObject({ status: 'started', launches: 0, outcome: 'unknown' });
    expect(stateOf(state, 'book')).toMatchObject({ status: 'started', launches: 0, outcome: 'failed' });
  });

  it('keeps a step started that was not begun by its second owner, and what is known of the first attempt', () => {
    const drained: Fact = { kind: 'released', data: { unrun: ['hotel'], cut: [] } };
    const state = after(definition, ['hotel'], resumed(['hotel']), drained);
    expect(stateOf(state, 'hotel')).toMatchObject({
      ...{ status: 'started', launches: 1, outcome: 'unknown', interrupted: true },
    });
  });

  it('knows no more of a step that an operator skips after its process let go of it: nothing of it was under way', () => {
    const refused: Fact = {
      kind: 'probed',
      step: 'hotel',
      data: { outcome: 'failed', result: null },
    };
    const drained: Fact = { kind: 'released', data: { unrun: ['hotel'], cut: [] } };
    const skip: Fact = { kind: 'step_skipped', step: 'hotel', data: { actor: 'ada', reason: null } };
    const begun = after(definition, ['hotel'], resumed(['hotel']), refused, skip);
    expect(stateOf(begun, 'hotel')).toMatchObject({ status: 'skipped', outcome: 'unknown' });
    const letGo = after(definition, ['hotel'], resumed(['hotel']), refused, drained, skip);
    expect(stateOf(letGo, 'hotel')).toMatchObject({ status: 'skipped', outcome: 'failed' });
  });

  it('lets a probe reset what is known of a step, and keeps the result that it found', () => {
    const probed = (data: unknown): Fact => ({ kind: 'probed', step: 'hotel', data });
    const start = [resumed(['hotel'])];
    const no = after(definition, ['hotel'], ...start, probed({ outcome: 'failed', result: null }));
    expect(stateOf(no, 'hotel')).toMatchObject({ status: 'started', outcome: 'failed', launches: 2 });
    const yes = after(definition, ['hotel'], ...start, probed({ outcome: 'completed', result: '7' }));
    expect(stateOf(yes, 'hotel')).toMatchObject({ outcome: 'completed', result: '7' });
  });

  it('refuses a first row or an entry about a step that this definition does not have, and says what to do', () => {
    const advice =
      'version 1 of saga "trip" has no step "ferry", but the saga was started with it; ' +
      'register the definition it was started with, and give the changed one a new version';
    const wrong = [
      () => initialState(definition, ['ferry']),
      () => after(definition, ['hotel'], completed('ferry')),
      () => after(definition, ['hotel'], completed('hotel', null, ['ferry'])),
    ];
    for (const fold of wrong) {
      expect(fold).toThrow(DefinitionChangedError);
      expect(fold).toThrow(advice);
    }
  });

  const past = [completed('hotel', null, ['book']), completed('book', null, ['pay'])];

  it('turns back at a pivot that is known to have had no effect', () => {
    expect(after(definition, ['hotel'], ...past, failed('pay', 'failed')).status).toBe('compensating');
  });

  it('parks at a pivot that may have happened, and after the pivot', () => {
    expect(after(definition, ['hotel'], ...past, failed('pay', 'unknown')).status).toBe('parked');
    const state = after(
      definition,
      ['hotel'],
      ...past,
      completed('pay', null, ['mail']),
      failed('mail', 'failed'),
    );
    expect(state).toMatchObject({ status: 'parked', failure: { step: 'mail' } });
  });

  it('turns back at a completed step whose result could not be kept', () => {
    const reason = { code: 'SAGAZ_RESULT_NOT_SERIALISABLE', message: 'no', step: 'hotel' };
    const state = after(definition, ['hotel'], completed('hotel'), {
      kind: 'compensating',
      step: 'hotel',
      data: reason,
    });
    expect(state).toMatchObject({ status: 'compensating', failure: reason });
    expect(stateOf(state, 'hotel').status).toBe('completed');
  });

  it('copes with a step that this definition does not have', () => {
    expect(stateOf(initialState(definition, []), 'ferry').status).toBe('not_started');
  });
});

describe('readySteps', () => {
  const diamond = saga({
    plan: { dependsOn: [], undo },
    hotel: { dependsOn: ['plan'], undo },
    flight: { dependsOn: ['plan'], undo },
    mail: { dependsOn: ['hotel', 'flight'] },
  });

  it('starts both branches of a diamond together', () => {
    expect(readySteps(diamond, initialState(diamond, []))).toEqual(['plan']);
    expect(readySteps(diamond, launched(diamond, completed('plan')))).toEqual(['hotel', 'flight']);
  });

  it('joins only after both branches', () => {
    const half = launched(diamond, completed('plan'), completed('flight'));
    expect(readySteps(diamond, launchSteps(half, ['hotel']))).toEqual([]);
    expect(
      readySteps(diamond, launched(diamond, completed('plan'), completed('hotel'), completed('flight'))),
    ).toEqual(['mail']);
  });

  it('starts nothing a second time', () => {
    expect(readySteps(diamond, initialState(diamond, ['plan']))).toEqual([]);
  });

  it('keeps to the concurrency of the saga, what runs already counted', () => {
    const steps = Object.fromEntries(['a', 'b', 'c', 'd'].map((name) => [name, { dependsOn: [] }]));
    const definition = saga(steps, { concurrency: 2 });
    const none = initialState(definition, []);
    expect(readySteps(definition, none)).toEqual(['a', 'b']);
    expect(readySteps(definition, launchSteps(none, ['a']))).toEqual(['b']);
    expect(readySteps(definition, launchSteps(none, ['a', 'b']))).toEqual([]);
    expect(readySteps(definition, launchSteps(none, ['a', 'b', 'c']))).toEqual([]);
  });

  it('starts nothing once the saga has turned back', () => {
    const definition = saga({ hotel: { dependsOn: [], undo }, flight: {}, mail: { dependsOn: ['hotel'] } });
    expect(
      readySteps(definition, launched(definition, completed('hotel'), failed('flight', 'failed'))),
    ).toEqual([]);
  });
});

describe('readyUndos', () => {
  const line = saga({
    hotel: { undo },
    look: { readOnly: true },
    flight: { undo },
    rail: {},
    taxi: { undo },
    mail: {},
  });
  const done = ['hotel', 'look', 'flight', 'rail', 'taxi'].map((name) => completed(name));

  it('goes back in reverse order, past steps without an undo between two with one', () => {
    const failure = [...done, failed('mail', 'failed')];
    const order: (readonly string[])[] = [];
    for (let facts = failure; ;) {
      const next = readyUndos(line, launched(line, ...facts));
      if (next.length === 0) break;
      order.push(next);
      facts = [...facts, ...next.map(undone)];
    }
    expect(order).toEqual([['taxi'], ['flight'], ['hotel']]);
  });

  it('undoes branches that do not wait for each other at the same time, and what they share after both', () => {
    const tree = saga({
      plan: { dependsOn: [], undo },
      hotel: { dependsOn: ['plan'], undo },
      flight: { dependsOn: ['plan'], undo },
      mail: { dependsOn: ['hotel', 'flight'] },
    });
    const facts = [completed('plan'), completed('hotel'), completed('flight'), failed('mail', 'unknown')];
    expect(readyUndos(tree, launched(tree, ...facts))).toEqual(['hotel', 'flight']);
    expect(readyUndos(tree, launched(tree, ...facts, undone('hotel')))).toEqual(['flight']);
    expect(readyUndos(tree, launched(tree, ...facts, undone('hotel'), undone('flight')))).toEqual(['plan']);
  });

  it('goes on past an undo that gave up', () => {
    const facts = [...done, failed('mail', 'failed'), undoFailed('taxi')];
    expect(readyUndos(line, launched(line, ...facts))).toEqual(['flight']);
  });

  it('starts nothing while any action is under way', () => {
    const definition = saga({ hotel: { dependsOn: [], undo }, flight: { undo }, rail: { undo } });
    const state = after(
      definition,
      ['hotel', 'flight', 'rail'],
      completed('hotel'),
      failed('flight', 'unknown'),
    );
    expect(readyUndos(definition, state)).toEqual([]);
  });

  it('starts nothing while the saga goes forward', () => {
    expect(readyUndos(line, launched(line, completed('hotel')))).toEqual([]);
  });

  it.each<[CompensateOn, Outcome | 'not_started', boolean]>([
    ['unknown', 'completed', true],
    ['unknown', 'unknown', true],
    ['unknown', 'failed', false],
    ['completed', 'completed', true],
    ['completed', 'unknown', false],
    ['completed', 'failed', false],
    ['always', 'completed', true],
    ['always', 'unknown', true],
    ['always', 'failed', true],
    ['always', 'not_started', false],
    ['unknown', 'not_started', false],
  ])('with compensateOn %s: a step that is %s is undone: %p', (compensateOn, outcome, expected) => {
    const definition = saga({ hotel: { dependsOn: [], undo, compensateOn }, flight: {} });
    const own =
      outcome === 'not_started'
        ? []
        : [outcome === 'completed' ? completed('hotel') : failed('hotel', outcome)];
    const state = launched(definition, ...own, failed('flight', 'failed'));
    expect(readyUndos(definition, state)).toEqual(expected ? ['hotel'] : []);
    expect(reachedStatus(definition, state)).toBe(expected ? 'compensating' : 'compensated');
  });
});

describe('reachedStatus', () => {
  const definition = saga({ hotel: { dependsOn: [], undo }, flight: { dependsOn: [], undo } });

  it('is completed when every step is', () => {
    expect(reachedStatus(definition, launched(definition, completed('hotel')))).toBe('running');
    expect(reachedStatus(definition, launched(definition, completed('hotel'), completed('flight')))).toBe(
      'completed',
    );
  });

  it('does not end while a step is under way', () => {
    const state = after(definition, ['hotel', 'flight'], failed('hotel', 'failed'));
    expect(reachedStatus(definition, state)).toBe('compensating');
  });

  it('is compensated when nothing is left to undo', () => {
    const facts = [completed('hotel'), failed('flight', 'failed')];
    expect(reachedStatus(definition, launched(definition, ...facts))).toBe('compensating');
    expect(reachedStatus(definition, launched(definition, ...facts, undone('hotel')))).toBe('compensated');
  });

  it('is failed, never compensated, when one undo gave up, once the others have ended', () => {
    const facts = [completed('hotel'), failed('flight', 'unknown'), undoFailed('hotel')];
    expect(reachedStatus(definition, launched(definition, ...facts))).toBe('compensating');
    const state = launched(definition, ...facts, undone('flight'));
    expect(reachedStatus(definition, state)).toBe('failed');
    const end = JSON.parse(endOf(definition, { ...state, status: 'failed' }).error ?? '') as unknown;
    expect(end).toEqual({
      code: 'SAGAZ_COMPENSATION_FAILED',
      message: 'flight failed (undo of hotel gave up: hotel stays)',
      step: 'flight',
      standing: ['hotel'],
    });
  });
});

describe('relaunches', () => {
  const steps = {
    hotel: { undo, retry: 2 },
    book: { undo, transactional: true, retry: false as const },
    pay: { pivot: true, retry: 2 },
    mail: {},
  };
  const definition = saga(steps);
  const toBook = [completed('hotel', null, ['book'])];
  const toPay = [...toBook, completed('book', null, ['pay'])];
  const toMail = [...toPay, completed('pay', null, ['mail'])];

  it('names the interrupted step, and none when nothing was under way', () => {
    expect(relaunches(after(definition, ['hotel']))).toEqual(['hotel']);
    expect(relaunches(after(definition, ['hotel'], completed('hotel')))).toEqual([]);
  });

  it('names a step again after each takeover, however often: whether it has attempts left the runner decides', () => {
    expect(relaunches(after(definition, ['hotel'], resumed(['hotel']), resumed(['hotel'])))).toEqual([
      'hotel',
    ]);
    const pivot = after(definition, ['hotel'], ...toPay, resumed(['pay']), resumed(['pay']));
    expect(relaunches(pivot)).toEqual(['pay']);
    const late = after(definition, ['hotel'], ...toMail, resumed(['mail']), resumed(['mail']));
    expect(relaunches(late)).toEqual(['mail']);
  });

  it('names a transactional step, which did not commit', () => {
    expect(relaunches(after(definition, ['hotel'], ...toBook))).toEqual(['book']);
  });

  it('names a step whose new owner was lost before it launched it: it is still started', () => {
    const state = after(definition, ['hotel'], resumed());
    expect(stateOf(state, 'hotel')).toMatchObject({ status: 'started', outcome: 'unknown', launches: 1 });
    expect(relaunches(state)).toEqual(['hotel']);
  });

  it('names every branch that was under way', () => {
    const parallel = saga({ hotel: { dependsOn: [], undo, retry: false }, flight: { undo } });
    expect(relaunches(after(parallel, ['hotel', 'flight']))).toEqual(['hotel', 'flight']);
  });

  it('names nothing in a saga that has turned back, or is to be parked', () => {
    const parallel = saga({ hotel: { dependsOn: [], undo }, flight: { undo } });
    const state = after(parallel, ['hotel', 'flight'], failed('hotel', 'failed'));
    expect(relaunches(state)).toEqual([]);
    const fork = saga({
      pay: { dependsOn: [], pivot: true },
      mail: { dependsOn: ['pay'] },
      ship: { dependsOn: ['pay'] },
    });
    const parked = after(fork, ['pay'], completed('pay', null, ['mail', 'ship']), failed('mail', 'failed'));
    expect([parked.status, running(parked)]).toEqual(['parked', ['ship']]);
    expect(relaunches(parked)).toEqual([]);
  });
});

describe('attemptOnce', () => {
  function setUp() {
    const clock = new FakeClock();
    const outer = new JobControl();
    const limits = { timeoutMs: 1_000, graceMs: 200, place: 'Trip.hotel', control: outer, clock };
    const handler = new Deferred<string>();
    let given: AbortSignal | undefined;
    const outcome = attemptOnce(({ signal }) => {
      given = signal;
      return handler.promise;
    }, limits);
    outcome.catch(() => undefined);
    const signal = () => given ?? new AbortController().signal;
    return { clock, outer, limits, handler, outcome, signal };
  }

  it('gives what the handler gives, and leaves no timer behind', async () => {
    const { clock, handler, outcome, signal } = setUp();
    handler.resolve('room 7');
    await expect(outcome).resolves.toBe('room 7');
    await settled();
    expect(clock.waiting).toEqual([]);
    expect(signal().aborted).toBe(false);
  });

  it('throws what the handler throws', async () => {
    const { clock, handler, outcome } = setUp();
    handler.reject(new Error('no room'));
    await expect(outcome).rejects.toThrow('no room');
    await settled();
    expect(clock.waiting).toEqual([]);
  });

  it("aborts the handler's own signal at the time-out, with the reason", async () => {
    const { clock, signal } = setUp();
    await clock.advance(999);
    expect(signal().aborted).toBe(false);
    await clock.advance(1);
    expect(signal().reason).toBeInstanceOf(StepTimeoutError);
    expect(signal().reason).toMatchObject({ message: 'Trip.hotel did not end within 1000 ms' });
  });

  it('counts a success within the grace after the time-out', async () => {
    const { clock, handler, outcome } = setUp();
    await clock.advance(1_199);
    handler.resolve('room 7');
    await expect(outcome).resolves.toBe('room 7');
  });

  it('throws what the handler throws within the grace, and not the time-out', async () => {
    const { clock, handler, outcome } = setUp();
    await clock.advance(1_100);
    handler.reject(new Error('connection cut'));
    await expect(outcome).rejects.toThrow('connection cut');
  });

  it('rejects with StepTimeoutError when the handler never settles', async () => {
    const { clock, outcome } = setUp();
    await clock.advance(1_200);
    await expect(outcome).rejects.toBeInstanceOf(StepTimeoutError);
    expect(clock.waiting).toEqual([]);
  });

  it('ignores what the handler does after its time is up', async () => {
    const { clock, handler, outcome } = setUp();
    await clock.advance(1_200);
    handler.reject(new Error('much too late'));
    await settled();
    await expect(outcome).rejects.toBeInstanceOf(StepTimeoutError);
  });

  it('aborts the handler when the outer signal aborts, and gives it the same grace', async () => {
    const { clock, outer, handler, outcome, signal } = setUp();
    await clock.advance(500);
    const reason = new SagaCancelledError('turned back');
    outer.abort(reason);
    expect(signal().reason).toBe(reason);
    await clock.advance(199);
    handler.resolve('room 7');
    await expect(outcome).resolves.toBe('room 7');
  });

  it('rejects with the reason of the outer abort when the handler does not settle within the grace', async () => {
    const { clock, outer, outcome } = setUp();
    const reason = new SagaCancelledError('turned back');
    outer.abort(reason);
    await clock.advance(200);
    await expect(outcome).rejects.toBe(reason);
  });

  it('keeps the first reason when both aborts come', async () => {
    const { clock, outer, outcome } = setUp();
    await clock.advance(1_000);
    outer.abort(new SagaCancelledError('turned back'));
    await clock.advance(200);
    await expect(outcome).rejects.toBeInstanceOf(StepTimeoutError);
  });

  it('does not call the handler after the outer abort, and rejects with its reason', async () => {
    const { limits, outer, clock } = setUp();
    const reason = new SagaCancelledError('turned back');
    outer.abort(reason);
    let called = false;
    const handler = async () => {
      called = true;
    };
    await expect(attemptOnce(handler, limits)).rejects.toBe(reason);
    expect(called).toBe(false);
    await clock.advance(200);
    expect(clock.waiting).toEqual([]);
  });
});
