import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { describeWith } from '../support/requirement.js';

const run = promisify(execFile);
const QUICK = [
  ...['c1', 'c50', 'c200', 'observed200', 'byHand200', 'ungrouped200', 'bareFenced200'],
  ...['observedToC200', 'byHandToC200', 'ratioToUngrouped', 'ratioToBareFenced'],
  ...['stepP50Ms', 'commitP50Ms', 'stepToCommit'],
  ...['memory', 'memoryBare', 'ratioToBare', 'stepCost10', 'stepCost200', 'growth'],
];
/** Of a peer, which is installed when it is needed. */
const OF_PEERS = ['dbosC200', 'ratioToDbos', 'graphile', 'pgboss', 'ratioToGraphile', 'ratioToPgboss'];
const DRAIN = [
  ...['ours', 'bare', 'oneKey', 'clean1M', 'heldReader', 'heldWriter'],
  ...['ratioToBare', 'oneKeyToOurs', 'readerToClean', 'writerToClean'],
];

const BROKERS = ['rabbitmq', 'kafka', 'redis'];
const ofBroker = (name: string) =>
  ['Ours', 'Bare', 'Raw', 'BareRatio', 'RawRatio'].map((figure) => `${name}${figure}`);

const GROWTH = ['empty200', 'full200', 'ratioToEmpty', 'claimP50Ms', 'claimP99Ms'];

const bench = (...args: string[]) => run(process.execPath, ['dist/bench/main.js', ...args]);

describeWith('postgres', 'npm run bench', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'nestjs-sagaz-bench-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('prints the figures of the sagas bench and writes them to a file', async () => {
    const file = path.join(folder, 'sagas.json');
    const { stdout } = await bench('sagas', '--quick', '--json', file);
    const figures = JSON.parse(await readFile(file, 'utf8')) as Record<string, number>;
    expect(Object.keys(figures)).toEqual(QUICK);
    for (const [field, value] of Object.entries(figures)) {
      expect([field, Number.isFinite(value) && value > 0]).toEqual([field, true]);
      expect(stdout).toMatch(new RegExp(`^${field} +[\\d.,]+`, 'm'));
    }
    expect(stdout).toMatch(/^ratioToBare .*bar: >= 0\.3 {2}(met|missed)$/m);
    expect(stdout).toMatch(/^machine .+ cores, .+ GiB$/m);
  });

  it('kills processes in the takeover bench', async () => {
    const { stdout } = await bench('takeover', '--quick');
    expect(stdout).toMatch(/^p99Ms +[\d.,]+ +ms +bar: <= 1000 {2}(met|missed)$/m);
    expect(stdout).toMatch(/^postgresql +\d+.*, fsync (on|off),/m);
  });

  it('drains the outbox in the outbox-drain bench', async () => {
    const file = path.join(folder, 'drain.json');
    await bench('outbox-drain', '--quick', '--json', file);
    const figures = JSON.parse(await readFile(file, 'utf8')) as Record<string, number>;
    expect(Object.keys(figures)).toEqual(DRAIN);
    for (const [field, value] of Object.entries(figures)) expect([field, value > 0]).toEqual([field, true]);
  });

  it('takes events to the brokers that are there in the outbox-brokers bench', async () => {
    const { RABBITMQ_URL, KAFKA_BROKERS, REDIS_URL } = process.env;
    const there = [RABBITMQ_URL, KAFKA_BROKERS, REDIS_URL];
    const file = path.join(folder, 'brokers.json');
    await bench('outbox-brokers', '--quick', '--json', file);
    const figures = JSON.parse(await readFile(file, 'utf8')) as Record<string, number>;
    expect(Object.keys(figures)).toEqual(BROKERS.filter((_, n) => there[n]).flatMap(ofBroker));
    for (const [field, value] of Object.entries(figures)) expect([field, value > 0]).toEqual([field, true]);
  });

  it.each(['latency', 'enqueue'])('writes events in the %s bench', async (name) => {
    const { stdout } = await bench(name, '--quick');
    expect(stdout).toMatch(/^(p99Ms|ratio) +[\d.,]+/m);
  });

  it('fills tables in the growth bench, and shows the plan of a claim', async () => {
    const { stdout } = await bench('growth', '--quick');
    expect(stdout).toMatch(/^ratioToEmpty +[\d.,]+ +bar: >= 0\.9 {2}(met|missed)$/m);
    expect(stdout).toMatch(/^claimP99Ms +[\d.,]+ +ms +bar: <= 5 {2}(met|missed)$/m);
    expect(stdout).toMatch(/Index Scan (using|on) saga_instance_due/);
  });

  it.each([
    [['nope'], 'there is no bench "nope"'],
    [[], 'name a bench'],
    [['sagas', '--fast'], "Unknown option '--fast'"],
    [['sagas', 'takeover'], 'one bench at a time, got also takeover'],
  ])('refuses %j with the list of the benches', async (args, message) => {
    const failure = await bench(...args).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 2, stdout: '' });
    const { stderr } = failure as { stderr: string };
    expect(stderr).toContain(message);
    expect(stderr).toMatch(/^ {2}sagas +sagas of no-op steps in memory/m);
    expect(stderr).toMatch(/^ {2}takeover +a process is killed/m);
  });
});

it('has every figure of the benches in the reference', async () => {
  const page = await readFile('docs/reference/benchmarks.md', 'utf8');
  const [, section = ''] = page.split('## `npm run bench -- sagas`');
  const listed = [...section.matchAll(/^\| `(\w+)`/gm)].map(([, field]) => field);
  expect(new Set(listed)).toEqual(
    new Set([
      ...QUICK,
      ...OF_PEERS,
      ...GROWTH,
      ...DRAIN,
      ...BROKERS.flatMap(ofBroker),
      'p50Ms',
      'p99Ms',
      'business',
      'withEvent',
      'ratio',
    ]),
  );
});
