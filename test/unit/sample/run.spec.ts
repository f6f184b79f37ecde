import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { EventWatch } from '../../../sample/01-order-service/src/run/event-watch.js';
import { parseRunOptions } from '../../../sample/01-order-service/src/run/run-options.js';
import { type Summary, summaryJson, summaryTable } from '../../../sample/01-order-service/src/run/summary.js';
import type { SummaryService } from '../../../sample/01-order-service/src/run/summary.service.js';
import { summaryFaults } from '../../../sample/01-order-service/src/run/summary-faults.js';
import { writeAtomically } from '../../../sample/01-order-service/src/run/write-atomically.js';
import { UsageError } from '../../../sample/01-order-service/src/usage.error.js';

const SUMMARY: Summary = {
  orders: 4,
  completed: 1,
  outOfStock: 1,
  creditRefused: 1,
  carrierRefused: 1,
  stockLeft: 7,
  revenue: '1234.50',
  published: 1,
  others: {},
};

describe('parseRunOptions', () => {
  it('has defaults, and makes paths absolute', () => {
    expect(parseRunOptions([])).toEqual({ data: undefined, concurrency: 1, json: undefined, help: false });
    expect(parseRunOptions(['--data', 'some/folder', '--concurrency', '16', '--json=out.json'])).toEqual({
      data: resolve('some/folder'),
      concurrency: 16,
      json: resolve('out.json'),
      help: false,
    });
  });

  it.each([
    [['--datum', 'x'], 'Unknown option --datum.'],
    [['-d'], 'Unknown option -d.'],
    [['folder'], 'Unexpected argument "folder".'],
    [['--data'], 'Option --data needs a value.'],
    [['--data', '--json'], 'Option --data needs a value.'],
    [['--data='], 'Option --data needs a value.'],
    [['--help=yes'], 'Option --help takes no value.'],
    [['--concurrency', '0'], 'Option --concurrency must be a whole number from 1 on, got "0".'],
    [['--concurrency=-1'], 'got "-1".'],
    [['--concurrency', '1.5'], 'got "1.5".'],
    [['--concurrency', 'many'], 'got "many".'],
  ])('refuses %j as a wrong call', (args, message) => {
    expect(() => parseRunOptions(args)).toThrow(UsageError);
    expect(() => parseRunOptions(args)).toThrow(message);
  });

  it('finds out early that the summary could not be written', () => {
    expect(() => parseRunOptions(['--json', 'no/such/folder/out.json'])).toThrow('There is no folder');
    expect(() => parseRunOptions(['--json', 'sample'])).toThrow('is a folder');
  });
});

describe('the summary', () => {
  it('as JSON keeps two decimals of the revenue, as a number', () => {
    const text = summaryJson(SUMMARY, 1.5);
    expect(text).toContain('"revenue": 1234.50,');
    expect(JSON.parse(text)).toEqual({
      orders: 4,
      completed: 1,
      outOfStock: 1,
      creditRefused: 1,
      carrierRefused: 1,
      stockLeft: 7,
      revenue: 1234.5,
      published: 1,
      seconds: 1.5,
    });
  });

  it('as a table shows states that should not be there', () => {
    expect(summaryTable({ ...SUMMARY, others: { parked: 2 } }, 1)).toMatch(/^ {2}parked +2$/m);
  });

  it('tells what is not as it should be', () => {
    expect(summaryFaults(SUMMARY)).toEqual([]);
    const faults = summaryFaults({ ...SUMMARY, published: 0, others: { failed: 3 } });
    expect(faults).toEqual([
      expect.stringContaining('3 orders ended as "failed"'),
      expect.stringContaining('0 of 1 order.completed events'),
    ]);
  });
});

describe('writeAtomically', () => {
  it('replaces the file and leaves nothing beside it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'write-'));
    const file = join(folder, 'out.json');
    await writeFile(file, 'old');
    await writeAtomically(file, 'new');
    expect(await readFile(file, 'utf8')).toBe('new');
    expect(await readdir(folder)).toEqual(['out.json']);
    await rm(folder, { recursive: true });
  });
});

describe('EventWatch', () => {
  const watch = (...counts: number[]) => {
    let looks = 0;
    const published = () => Promise.resolve(counts[Math.min(looks++, counts.length - 1)] ?? 0);
    return new EventWatch({ published } as unknown as SummaryService);
  };

  it('waits until all have arrived, and tells the progress', async () => {
    const seen: number[] = [];
    const count = await watch(0, 1, 1, 3).wait('d', { expected: 3, onProgress: (done) => seen.push(done) });
    expect(count).toBe(3);
    expect(seen).toEqual([1, 3]);
  });

  it('gives up when nothing moves for its patience', async () => {
    expect(await watch(0, 2).wait('d', { expected: 3, patienceMs: 120 })).toBe(2);
  });
});
