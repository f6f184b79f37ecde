import { systemClock } from '../../lib/runtime/clock.js';
import { Deferred } from '../../lib/runtime/deferred.js';
import { didYouMean } from '../../lib/runtime/did-you-mean.js';
import { parseDuration } from '../../lib/runtime/duration.js';
import { errorText } from '../../lib/runtime/error-text.js';
import { PollingLoop } from '../../lib/runtime/polling-loop.js';
import { Turn } from '../../lib/runtime/turn.js';
import { FakeClock, settled } from '../support/fake-clock.js';
import { MemoryLog } from '../support/memory-log.js';

describe('parseDuration', () => {
  it.each([
    [0, 0],
    [250, 250],
    [1.5, 1.5],
    ['0s', 0],
    ['250ms', 250],
    ['5s', 5_000],
    ['1.5s', 1_500],
    ['10m', 600_000],
    ['1h', 3_600_000],
    ['7d', 604_800_000],
  ])('reads %p as %p ms', (given, ms) => {
    expect(parseDuration(given)).toBe(ms);
  });

  it.each([
    [-1],
    [NaN],
    [Infinity],
    [''],
    ['5'],
    ['s'],
    ['-5s'],
    ['5 s'],
    [' 5s'],
    ['5S'],
    ['5sec'],
    ['5s6'],
    ['1e3ms'],
    ['.5s'],
    ['5w'],
    [null],
    [undefined],
    [true],
    [{}],
    [[5]],
    [5n],
  ])('refuses %p', (given) => {
    expect(parseDuration(given)).toBeUndefined();
  });
});

describe('didYouMean', () => {
  const known = ['timeout', 'retry', 'concurrency', 'compensationTimeout'];

  it.each([
    ['timout', 'timeout'],
    ['TIMEOUT', 'timeout'],
    ['rety', 'retry'],
    ['concurency', 'concurrency'],
    ['compensateTimeout', 'compensationTimeout'],
  ])('takes %s for %s', (given, meant) => {
    expect(didYouMean(given, known)).toBe(`; did you mean "${meant}"?`);
  });

  it('says nothing when no name is near', () => {
    expect(didYouMean('broker', known)).toBe('');
    expect(didYouMean('timeout', [])).toBe('');
  });

  it('prefers the nearest name', () => {
    expect(didYouMean('lease', ['leash', 'leased', 'lease2x', 'lease'])).toBe('; did you mean "lease"?');
  });
});

describe('errorText', () => {
  it.each([
    [new Error('no seats'), 'no seats'],
    ['just a text', 'just a text'],
    [undefined, 'undefined'],
    [
      new AggregateError([new Error('::1 refused'), new Error('127.0.0.1 refused')]),
      '::1 refused; 127.0.0.1 refused',
    ],
    [new AggregateError([new Error('inner')], 'both failed'), 'both failed'],
  ])('tells what was thrown', (thrown, text) => {
    expect(errorText(thrown)).toBe(text);
  });
});

describe('Turn', () => {
  it('runs one piece of work at a time, in the order of the calls', async () => {
    const turn = new Turn();
    const first = new Deferred<void>();
    const seen: string[] = [];
    const one = turn.run(async () => {
      seen.push('one begins');
      await first.promise;
      seen.push('one ends');
    });
    const two = turn.run(async () => {
      seen.push('two');
      return 2;
    });
    await settled();
    expect(seen).toEqual(['one begins']);
    first.resolve();
    await one;
    await expect(two).resolves.toBe(2);
    expect(seen).toEqual(['one begins', 'one ends', 'two']);
  });

  it('goes on after work that failed, and tells the failure only to its caller', async () => {
    const turn = new Turn();
    const failed = turn.run(() => Promise.reject(new Error('broken')));
    const next = turn.run(() => Promise.resolve('fine'));
    await expect(failed).rejects.toThrow('broken');
    await expect(next).resolves.toBe('fine');
  });
});

describe('the system clock', () => {
  it('ends a delay at once when its signal aborts, or has aborted', async () => {
    const stop = new AbortController();
    const delay = systemClock.delay(60_000, stop.signal);
    stop.abort();
    await expect(delay).resolves.toBeUndefined();
    await expect(systemClock.delay(60_000, stop.signal)).resolves.toBeUndefined();
  });

  it.each([2 ** 31, 2 ** 31 + 1, 2 ** 40, Infinity])('does not fire at once after %p ms', async (ms) => {
    const stop = new AbortController();
    let over = false;
    const delay = systemClock.delay(ms, stop.signal).then(() => {
      over = true;
    });
    await systemClock.delay(20);
    expect(over).toBe(false);
    stop.abort();
    await delay;
    expect(over).toBe(true);
  });

  it('waits longer than the 24.8 days that a timer of Node can hold', async () => {
    const stop = new AbortController();
    const order: string[] = [];
    const month = systemClock.delay(30 * 86_400_000, stop.signal).then(() => order.push('30 days'));
    await systemClock.delay(10).then(() => order.push('10 ms'));
    stop.abort();
    await month;
    expect(order).toEqual(['10 ms', '30 days']);
  });
});

describe('PollingLoop', () => {
  const INTERVAL = 25;
  const MAX = 100;

  function setUp(round: (call: number) => boolean | Promise<boolean>) {
    const clock = new FakeClock();
    const log = new MemoryLog();
    const at: number[] = [];
    const loop = new PollingLoop({
      name: 'looking for parcels',
      round: async () => round(at.push(clock.monotonic())),
      interval: INTERVAL,
      maxInterval: MAX,
      clock,
      log,
    });
    return { clock, log, at, loop };
  }

  it('goes on at once while there is work', async () => {
    const { clock, at, loop } = setUp((call) => call < 5);
    loop.start();
    await settled();
    expect(at).toEqual([0, 0, 0, 0, 0]);
    expect(clock.waiting).toEqual([INTERVAL]);
    await loop.stop();
  });

  it('pauses for its interval when the very first round finds nothing', async () => {
    const { clock, loop } = setUp(() => false);
    loop.start();
    await settled();
    expect(clock.waiting).toEqual([INTERVAL]);
    await loop.stop();
  });

  it('pauses longer and longer while there is none, up to the longest pause', async () => {
    const { clock, at, loop } = setUp((call) => call === 1);
    loop.start();
    await clock.advance(375);
    expect(at).toEqual([0, 0, 25, 75, 175, 275, 375]);
    await loop.stop();
  });

  it('begins with the shortest pause again after work', async () => {
    const { clock, at, loop } = setUp((call) => call === 1 || call === 5);
    loop.start();
    await clock.advance(200);
    expect(at).toEqual([0, 0, 25, 75, 175, 175, 200]);
    await loop.stop();
  });

  it('ends its pause when it is woken, and then begins with the shortest one', async () => {
    const { clock, at, loop } = setUp((call) => call === 1);
    loop.start();
    await clock.advance(180);
    loop.wake();
    await settled();
    expect(at).toEqual([0, 0, 25, 75, 175, 180]);
    expect(clock.waiting).toEqual([INTERVAL]);
    await loop.stop();
  });

  it('does not lose a wake-up that comes during a round', async () => {
    const slow = new Deferred<boolean>();
    const { at, loop } = setUp((call) => (call === 1 ? slow.promise : false));
    loop.start();
    loop.wake();
    slow.resolve(false);
    await settled();
    expect(at).toEqual([0, 0]);
    await loop.stop();
  });

  it('tries a failed round again after the longest pause', async () => {
    const { clock, at, loop } = setUp((call) => {
      if (call === 1) throw new Error('no connection');
      return false;
    });
    loop.start();
    await clock.advance(99);
    expect(at).toEqual([0]);
    await clock.advance(1);
    expect(at).toEqual([0, 100]);
    await loop.stop();
  });

  it('logs a failure once per streak of equal messages', async () => {
    const outcomes = ['no connection', 'no connection', 'no rights', 'no rights', undefined, 'no rights'];
    const { clock, log, loop } = setUp((call) => {
      const failure = outcomes[call - 1];
      if (failure !== undefined) throw new Error(failure);
      return false;
    });
    loop.start();
    await clock.advance(550);
    await loop.stop();
    const line = (what: string) => `warn looking for parcels failed, trying again: ${what}`;
    expect(log.lines).toEqual([line('no connection'), line('no rights'), line('no rights')]);
  });

  it('stops only when the round in progress has ended, and starts no other', async () => {
    const slow = new Deferred<boolean>();
    const { clock, at, loop } = setUp(() => slow.promise);
    let stopped = false;
    loop.start();
    const stop = loop.stop().then(() => {
      stopped = true;
    });
    await settled();
    expect(stopped).toBe(false);
    slow.resolve(true);
    await stop;
    await clock.advance(1_000);
    expect(at).toEqual([0]);
  });

  it('stops at once while it pauses', async () => {
    const { clock, at, loop } = setUp(() => false);
    loop.start();
    await settled();
    await loop.stop();
    await clock.advance(1_000);
    expect(at).toEqual([0]);
    expect(clock.waiting).toEqual([]);
  });

  it('runs one round at a time when it is started twice, and may be started again after a stop', async () => {
    const { at, loop } = setUp(() => false);
    loop.start();
    loop.start();
    await settled();
    expect(at).toHaveLength(1);
    await loop.stop();
    loop.start();
    await settled();
    expect(at).toHaveLength(2);
    await loop.stop();
  });

  it('may be stopped without ever having been started', async () => {
    const { loop } = setUp(() => false);
    await expect(loop.stop()).resolves.toBeUndefined();
  });
});
