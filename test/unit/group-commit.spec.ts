import { GroupCommit, type Answer } from '../../lib/persistence/typeorm/group-commit.js';
import { History } from '../../lib/persistence/typeorm/history.js';
import { Deferred } from '../../lib/runtime/deferred.js';
import { Semaphore } from '../../lib/runtime/semaphore.js';
import { FakeClock, isPending, settled } from '../support/fake-clock.js';

const refusal = Object.assign(new Error('value out of range'), { code: '22003' });
const cut = new Error('Connection terminated unexpectedly');

describe('GroupCommit', () => {
  const clock = new FakeClock();
  let flushes: string[][];
  let answer: (items: readonly string[]) => Promise<readonly Answer<string>[]>;
  const stored = (items: readonly string[]) =>
    Promise.resolve(items.map((item) => ({ value: `${item} stored` })));
  const group = (options: { readonly lanes?: number; readonly maxRows?: number } = {}) =>
    new GroupCommit<string, string>({
      flush: (items) => {
        flushes.push([...items]);
        return answer(items);
      },
      weigh: (item) => ({ rows: 1, bytes: item.startsWith('big') ? 3 * 2 ** 20 : 10 }),
      subjectOf: (item) => item.split(' ')[0] ?? '',
      clock,
      ...options,
    });

  beforeEach(() => {
    flushes = [];
    answer = stored;
  });

  it('sends what was asked for while a flush was in flight together with the next one', async () => {
    const gate = new Deferred<void>();
    answer = (items) => gate.promise.then(() => stored(items));
    const commit = group();
    const first = commit.add('a');
    await settled();
    const others = ['b', 'c', 'd'].map((item) => commit.add(item));
    await settled();
    expect(flushes).toEqual([['a']]);
    gate.resolve();
    expect(await Promise.all([first, ...others])).toEqual(['a stored', 'b stored', 'c stored', 'd stored']);
    expect(flushes).toEqual([['a'], ['b', 'c', 'd']]);
  });

  it('shares many items between its lanes, and leaves few together', async () => {
    const commit = group({ lanes: 2 });
    await Promise.all(Array.from({ length: 40 }, (_, n) => commit.add(`${n}`)));
    expect(flushes.map(({ length }) => length)).toEqual([20, 20]);
    flushes = [];
    await Promise.all(Array.from({ length: 10 }, (_, n) => commit.add(`${n}`)));
    expect(flushes.map(({ length }) => length)).toEqual([10]);
  });

  it('keeps flushes within their rows and bytes, and one subject out of the same flush', async () => {
    const commit = group({ maxRows: 3 });
    await Promise.all(['big1', 'big2', 'x 1', 'x 2', 'y', 'z'].map((item) => commit.add(item)));
    expect(flushes).toEqual([
      ['big1', 'x 1', 'y'],
      ['big2', 'x 2', 'z'],
    ]);
  });

  it('splits a flush that is refused until the item that is refused stands alone', async () => {
    answer = (items) => (items.includes('bad') ? Promise.reject(refusal) : stored(items));
    const commit = group();
    const results = await Promise.allSettled(['a', 'b', 'bad', 'c', 'd'].map((item) => commit.add(item)));
    expect(results.map(({ status }) => status)).toEqual([
      ...['fulfilled', 'fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
    ]);
    expect(results[2]).toMatchObject({ reason: refusal });
  });

  it('sends a flush again whose reply was lost, and gives up when that takes too long', async () => {
    let faults = 3;
    answer = (items) => (faults-- > 0 ? Promise.reject(cut) : stored(items));
    const commit = group();
    expect(await clock.until(Promise.all([commit.add('a'), commit.add('b')]))).toEqual([
      'a stored',
      'b stored',
    ]);
    faults = Infinity;
    const before = clock.monotonic();
    await expect(clock.until(commit.add('c'))).rejects.toBe(cut);
    expect(clock.monotonic() - before).toBeGreaterThan(30_000);
    expect(clock.monotonic() - before).toBeLessThan(31_000);
  });

  it('asks again for a busy item, and does not hold up others for it', async () => {
    let busy = true;
    answer = (items) =>
      Promise.resolve(
        items.map((item) => (item === 'locked' && busy ? 'busy' : { value: `${item} stored` })),
      );
    const commit = group();
    const locked = commit.add('locked');
    expect(await clock.until(commit.add('free'))).toBe('free stored');
    await clock.advance(1_000);
    expect(await isPending(locked)).toBe(true);
    busy = false;
    expect(await clock.until(locked)).toBe('locked stored');
  });

  it('fails what waits when it is closed, and whoever comes later', async () => {
    answer = () => new Promise(() => undefined);
    const commit = group();
    void commit.add('a').catch(() => undefined);
    await settled();
    const waiting = commit.add('b');
    commit.close();
    await expect(waiting).rejects.toThrow('the connection to the database is closed');
    await expect(commit.add('c')).rejects.toThrow('closed');
  });
});

it('a Semaphore lets so many in at a time, in their order, and a place that is given back twice counts once', async () => {
  const semaphore = new Semaphore(1);
  const leave = await semaphore.enter();
  const second = semaphore.enter();
  const third = semaphore.enter();
  expect(await isPending(second)).toBe(true);
  leave();
  leave();
  const leaveSecond = await second;
  expect(await isPending(third)).toBe(true);
  leaveSecond();
  await third;
});

it('a History breaks when the timeline changes, not when a server is met again', async () => {
  let timeline = '00000001';
  const query = <T>() => Promise.resolve([{ timeline }] as T[]);
  const history = new History();
  await history.check(query);
  await history.check(query);
  expect([history.isBroken, history.number]).toEqual([false, 0]);
  timeline = '00000002';
  await history.check(query);
  expect([history.isBroken, history.number]).toEqual([true, 1]);
  history.accept();
  await history.check(query);
  expect([history.isBroken, history.number]).toEqual([false, 1]);
});
