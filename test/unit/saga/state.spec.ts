import * as errors from '../../../lib/saga/state/errors.js';
import { eventError } from '../../../lib/saga/state/event-error.js';
import { failureOf } from '../../../lib/saga/state/journal.js';
import { isEnded, SagaStatus, transition } from '../../../lib/saga/state/saga-status.js';
import { SagazError } from '../../../lib/saga/state/sagaz.error.js';
import { worseOutcome, type Outcome } from '../../../lib/saga/state/step-status.js';

const ALL = Object.values(SagaStatus);

/** The legal transitions of the design, word for word. */
const LEGAL: Readonly<Record<SagaStatus, string>> = {
  pending: 'running | compensated',
  running: 'waiting | completed | compensating | parked',
  waiting: 'running | compensating | parked',
  compensating: 'compensated | failed | parked',
  parked: 'running | compensating',
  failed: 'compensating | compensated',
  compensated: 'compensating',
  completed: '',
};

describe('transition', () => {
  const pairs = ALL.flatMap((from) =>
    ALL.map((to): [SagaStatus, SagaStatus, boolean] => [
      from,
      to,
      from === to || LEGAL[from].split(' | ').includes(to),
    ]),
  );

  it.each(pairs.filter(([, , legal]) => legal))('lets a saga that is %s be %s', (from, to) => {
    expect(transition(from, to)).toBe(to);
  });

  it.each(pairs.filter(([, , legal]) => !legal))('refuses that a saga that is %s becomes %s', (from, to) => {
    expect(() => transition(from, to)).toThrow(
      new errors.IllegalTransitionError(`a saga that is ${from} cannot become ${to}`),
    );
  });

  it('knows the statuses that a caller stops waiting at', () => {
    expect(ALL.filter(isEnded)).toEqual(['completed', 'compensated', 'failed', 'parked']);
  });
});

describe('worseOutcome', () => {
  it('takes completed over unknown over failed, in either order', () => {
    const order: Outcome[] = ['failed', 'unknown', 'completed'];
    for (const [i, a] of order.entries())
      for (const [j, b] of order.entries()) expect(worseOutcome(a, b)).toBe(order[Math.max(i, j)]);
  });
});

describe('failureOf', () => {
  it.each<[string, unknown, string, string]>([
    [
      'an error of this library',
      new errors.NonRetryableError('card stolen'),
      'SAGAZ_NON_RETRYABLE',
      'card stolen',
    ],
    [
      'an error with a code of its own',
      Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }),
      'ECONNREFUSED',
      'refused',
    ],
    ['an error whose code is no text', Object.assign(new Error('odd'), { code: 42 }), 'ERROR', 'odd'],
    ['an ordinary error', new RangeError('too far'), 'ERROR', 'too far'],
    ['a text', 'just said', 'ERROR', 'just said'],
    ['undefined', undefined, 'ERROR', 'undefined'],
  ])('keeps code and message of %s', (_what, error, code, message) => {
    expect(failureOf(error)).toEqual({ code, message });
  });

  it('names the step when there is one', () => {
    expect(failureOf(new Error('no seats'), 'flight')).toEqual({
      code: 'ERROR',
      message: 'no seats',
      step: 'flight',
    });
  });

  it('keeps neither stack nor cause, which may hold secrets', () => {
    const error = new Error('refused', { cause: { password: 'hunter2' } });
    expect(Object.keys(failureOf(error))).toEqual(['code', 'message']);
  });

  it('shortens a long message and mends what a database cannot store', () => {
    expect(failureOf(new Error('x'.repeat(5_000))).message).toHaveLength(2_000);
    expect(failureOf(new Error('a\u0000b\ud800c')).message).toBe('ab\ufffdc');
    const cut = failureOf(new Error(`${'x'.repeat(1_999)}😀`)).message;
    expect(cut.isWellFormed()).toBe(true);
  });
});

describe('errors', () => {
  const made = [
    new errors.SagaResultTimeoutError('s-1', 50),
    new errors.SagaDefinitionError([]),
    new errors.CompensationFailedError('stands', ['charge']),
    new errors.SagazOptionsError([]),
  ];

  it('are SagazErrors with the name of their class and a code', () => {
    for (const error of made) {
      expect(error).toBeInstanceOf(SagazError);
      expect(error.name).toBe(error.constructor.name);
      expect(error.code).toMatch(/^SAGAZ_[A-Z_]+$/);
    }
  });

  it.each([
    [new errors.SagaNotFoundError('x'), 404],
    [new errors.SagaInputError('x'), 400],
    [new errors.PayloadTooLargeError('x'), 413],
    [new errors.SagaConflictError('x'), 409],
    [new errors.IllegalTransitionError('x'), 409],
  ])('of a call are answered by Nest with their HTTP status: %s', (error, status) => {
    expect(error).toMatchObject({ status, statusCode: status, expose: true });
  });

  it('let a user add a code and a cause of their own', () => {
    class SoldOutError extends errors.NoEffectError {
      override readonly code = 'SOLD_OUT';
    }
    const cause = new Error('stock is 0');
    const error = new SoldOutError('sold out', { cause });
    expect(error).toMatchObject({ code: 'SOLD_OUT', name: 'SoldOutError', cause });
    expect(failureOf(error)).toEqual({ code: 'SOLD_OUT', message: 'sold out' });
  });

  it.each([
    ['invalid', 'SAGAZ_INVALID_INPUT'],
    ['too_large', 'SAGAZ_PAYLOAD_TOO_LARGE'],
    ['unknown_destination', 'SAGAZ_UNKNOWN_DESTINATION'],
  ] as const)('of a refused event name its type and field: %s', (kind, code) => {
    const error = eventError('room.booked', { kind, field: 'key', reason: 'is wrong' });
    expect(error).toMatchObject({ code, message: 'event "room.booked": key: is wrong' });
  });
});
