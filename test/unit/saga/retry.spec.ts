import fc from 'fast-check';
import { Place } from '../../../lib/runtime/readers.js';
import { outcomeOf } from '../../../lib/saga/retry/error-outcome.js';
import {
  nextDelay,
  retry,
  type FailedAttempt,
  type ResolvedRetry,
} from '../../../lib/saga/retry/retry-policy.js';
import { SAGA_DEFAULTS } from '../../../lib/saga/definition/saga-options.js';
import {
  FencedError,
  NoEffectError,
  NonRetryableError,
  StepTimeoutError,
} from '../../../lib/saga/state/errors.js';

const POLICY: ResolvedRetry = {
  maxAttempts: 5,
  initialInterval: 100,
  multiplier: 3,
  maxInterval: 2_000,
  maxElapsed: undefined,
  jitter: 'none',
  retryIf: undefined,
};

const FAILED: FailedAttempt = { attempt: 1, error: new Error('no answer'), elapsedMs: 0, unlimited: false };

function delayOf(policy: Partial<ResolvedRetry>, failed: Partial<FailedAttempt> = {}, random = () => 0.5) {
  return nextDelay({ ...POLICY, ...policy }, { ...FAILED, ...failed }, random);
}

describe('nextDelay', () => {
  it('grows by the multiplier up to the longest interval', () => {
    const attempts = [1, 2, 3, 4, 5, 1_000];
    const delays = attempts.map((attempt) => delayOf({ maxAttempts: 5_000 }, { attempt }));
    expect(delays).toEqual([100, 300, 900, 2_000, 2_000, 2_000]);
  });

  it('stays the same with a multiplier of 1', () => {
    expect([1, 2, 3].map((attempt) => delayOf({ multiplier: 1 }, { attempt }))).toEqual([100, 100, 100]);
  });

  it('is a random part of the pause with full jitter, anything from nothing to all of it', () => {
    expect(delayOf({ jitter: 'full' }, { attempt: 2 }, () => 0)).toBe(0);
    expect(delayOf({ jitter: 'full' }, { attempt: 2 }, () => 0.5)).toBe(150);
    expect(delayOf({ jitter: 'full' }, { attempt: 2 }, () => 1 - Number.EPSILON)).toBe(300);
  });

  it('uses real chance when none is given, within the bounds', () => {
    const delays = Array.from({ length: 200 }, () => nextDelay({ ...POLICY, jitter: 'full' }, FAILED) ?? -1);
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...delays)).toBeLessThanOrEqual(100);
    expect(new Set(delays).size).toBeGreaterThan(10);
  });

  it('is never negative and never above the longest interval, whatever the policy', () => {
    const numbers = {
      initialInterval: fc.integer({ min: 1, max: 100_000 }),
      maxInterval: fc.nat(100_000),
      multiplier: fc.integer({ min: 1, max: 10 }),
    };
    fc.assert(
      fc.property(
        fc.record(numbers),
        fc.integer({ min: 1, max: 400 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (policy, attempt, chance) => {
          const delay = delayOf({ ...policy, jitter: 'full', maxAttempts: 1_000 }, { attempt }, () => chance);
          expect(delay).toBeGreaterThanOrEqual(0);
          expect(delay).toBeLessThanOrEqual(policy.maxInterval);
        },
      ),
    );
  });

  it('is no pause at all with an initial interval of nothing, after however many attempts', () => {
    const policy = { initialInterval: 0, multiplier: 2, maxAttempts: 1 };
    expect(delayOf(policy, { attempt: 2, unlimited: true })).toBe(0);
    expect(delayOf(policy, { attempt: 1_100, unlimited: true })).toBe(0);
  });

  it('counts the first attempt: after maxAttempts there is no other', () => {
    expect(delayOf({ maxAttempts: 2 }, { attempt: 1 })).toBe(100);
    expect(delayOf({ maxAttempts: 2 }, { attempt: 2 })).toBeUndefined();
    expect(delayOf({ maxAttempts: 1 }, { attempt: 1 })).toBeUndefined();
  });

  it('starts no attempt later than maxElapsed after the first one began', () => {
    expect(delayOf({ maxElapsed: 1_000 }, { elapsedMs: 900 })).toBe(100);
    expect(delayOf({ maxElapsed: 1_000 }, { elapsedMs: 901 })).toBeUndefined();
  });

  it('asks retryIf with the error that was thrown', () => {
    const retryIf = (error: unknown) => error instanceof RangeError;
    expect(delayOf({ retryIf }, { error: new RangeError('later') })).toBe(100);
    expect(delayOf({ retryIf }, { error: new Error('never') })).toBeUndefined();
  });

  it('never repeats a NonRetryableError, not even without limit', () => {
    const error = new NonRetryableError('card stolen');
    expect(delayOf({}, { error })).toBeUndefined();
    expect(delayOf({}, { error, unlimited: true })).toBeUndefined();
  });

  it("waits at least the error's own retryAfter, which is in seconds", () => {
    expect(delayOf({}, { error: { retryAfter: 1.5 } })).toBe(1_500);
    expect(delayOf({}, { error: { retryAfter: 0.01 } })).toBe(100);
    expect(delayOf({ jitter: 'full' }, { error: { retryAfter: 60 } }, () => 0)).toBe(60_000);
    expect(delayOf({ maxElapsed: 1_000 }, { error: { retryAfter: 2 } })).toBeUndefined();
  });

  it.each([[-1], [NaN], [Infinity], ['5'], [null], [undefined]])(
    'ignores a retryAfter of %p',
    (retryAfter) => {
      expect(delayOf({}, { error: { retryAfter } })).toBe(100);
    },
  );

  it.each([[null], [undefined], ['text'], [7]])('copes with %p thrown', (error) => {
    expect(delayOf({}, { error })).toBe(100);
  });

  it('has no limit of attempts and of time after the pivot, only the back-off', () => {
    const policy = { maxAttempts: 1, maxElapsed: 1 };
    expect(delayOf(policy, { attempt: 50, elapsedMs: 1e9, unlimited: true })).toBe(2_000);
  });
});

describe('the retry option', () => {
  function read(value: unknown, defaults = SAGA_DEFAULTS.retry) {
    const faults: string[] = [];
    return { value: retry(defaults)(value, new Place('retry', faults)), faults };
  }

  it('keeps what is left out from the wider one', () => {
    const wider = { ...POLICY, maxElapsed: 9_000, retryIf: () => true };
    expect(read({ maxAttempts: 2, initialInterval: '1s' }, wider).value).toEqual({
      ...wider,
      maxAttempts: 2,
      initialInterval: 1_000,
    });
    expect(read(undefined, wider).value).toBe(wider);
  });

  it('is one attempt for false and that many for a number', () => {
    expect(read(false).value).toEqual({ ...SAGA_DEFAULTS.retry, maxAttempts: 1 });
    expect(read(8).value).toEqual({ ...SAGA_DEFAULTS.retry, maxAttempts: 8 });
  });

  it.each([
    [0, 'retry.maxAttempts: expected a whole number of at least 1, got 0'],
    [true, 'retry: expected an object, got true'],
    [{ retryIf: 'always' }, "retry.retryIf: expected a function, got 'always'"],
    [{ maxElapsed: 'long' }, expect.stringMatching(/^retry\.maxElapsed: expected a duration/)],
    [{ interval: 1 }, expect.stringMatching(/^retry: unknown option "interval"/)],
  ])('refuses %p', (value, fault) => {
    expect(read(value).faults).toEqual([fault]);
  });
});

function coded(code: string): Error {
  return Object.assign(new Error(code), { code });
}

function withStatus(status: unknown): Error {
  return Object.assign(new Error('answered'), { status });
}

describe('outcomeOf', () => {
  const refused = coded('ECONNREFUSED');

  it.each<[string, unknown]>([
    ['a NoEffectError', new NoEffectError('the shop is closed')],
    ['a refused connection', refused],
    ['an unknown host', coded('ENOTFOUND')],
    ['a failed fetch whose cause is a refused connection', new TypeError('fetch failed', { cause: refused })],
    [
      'a failed fetch to a host of several addresses, all of which refused',
      new TypeError('fetch failed', { cause: new AggregateError([refused, coded('ECONNREFUSED')]) }),
    ],
    ['every address refused', new AggregateError([refused, refused])],
    ...[400, 401, 403, 404, 422, 429].map((status): [string, unknown] => [
      `status ${status}`,
      withStatus(status),
    ]),
    ['a response with status 404', Object.assign(new Error('x'), { response: { status: 404 } })],
    ['a refused connection two causes down', new Error('a', { cause: new Error('b', { cause: refused }) })],
  ])('knows that nothing happened after %s', (_what, error) => {
    expect(outcomeOf(error)).toBe('failed');
  });

  it.each<[string, unknown]>([
    ...[409, 408, 402, 500, 502, 503, 504, 200].map((status): [string, unknown] => [
      `status ${status}`,
      withStatus(status),
    ]),
    ['a response with status 500', Object.assign(new Error('x'), { response: { status: 500 } })],
    ['a response with status 409', Object.assign(new Error('x'), { response: { status: 409 } })],
    ['no response', Object.assign(new Error('x'), { response: null })],
    ['a TypeError after the call', new TypeError('Cannot read properties of undefined')],
    ['a failed fetch without a cause', new TypeError('fetch failed')],
    ['a failed fetch whose connection broke', new TypeError('fetch failed', { cause: coded('ECONNRESET') })],
    ['a time-out', new StepTimeoutError('too slow')],
    ['a connect time-out', coded('ETIMEDOUT')],
    ['an aborted call', new DOMException('aborted', 'AbortError')],
    ['NonRetryableError, which says only that it may not be repeated', new NonRetryableError('no')],
    ['an error of this library', new FencedError('taken over')],
    ['several addresses of which one broke later', new AggregateError([refused, coded('ECONNRESET')])],
    ['no address at all', new AggregateError([])],
    ['a text', 'ECONNREFUSED'],
    ['undefined', undefined],
    ['null', null],
  ])('does not know what happened after %s', (_what, error) => {
    expect(outcomeOf(error)).toBe('unknown');
  });

  it('judges an answer by its own status, not by one that the answering service met itself', () => {
    expect(
      outcomeOf(Object.assign(new Error('bad gateway', { cause: withStatus(404) }), { status: 502 })),
    ).toBe('unknown');
  });

  it('believes noEffectOn, and asks it with the error', () => {
    const noEffectOn = (error: unknown) => error instanceof RangeError;
    expect(outcomeOf(new RangeError('sold out'), noEffectOn)).toBe('failed');
    expect(outcomeOf(new Error('sold out'), noEffectOn)).toBe('unknown');
    expect(outcomeOf(refused, () => false)).toBe('failed');
  });

  it('ends for an error that is its own cause', () => {
    const error = new Error('round');
    error.cause = error;
    expect(outcomeOf(error)).toBe('unknown');
  });
});
