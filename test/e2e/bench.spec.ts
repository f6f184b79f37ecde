import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const FIGURES = ['memory', 'memoryBare', 'ratioToBare', 'stepCost10', 'stepCost200', 'growth'];

const bench = (...args: string[]) => run(process.execPath, ['dist/bench/main.js', ...args]);

describe('npm run bench', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'nestjs-sagaz-bench-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('prints the figures of the sagas bench and writes them to a file', async () => {
    const file = path.join(folder, 'sagas.json');
    const { stdout } = await bench('sagas', '--quick', '--json', file);
    const figures = JSON.parse(await readFile(file, 'utf8')) as Record<string, number>;
    expect(Object.keys(figures)).toEqual(FIGURES);
    for (const [field, value] of Object.entries(figures)) {
      expect([field, Number.isFinite(value) && value > 0]).toEqual([field, true]);
      expect(stdout).toMatch(new RegExp(`^${field} +[\\d.,]+`, 'm'));
    }
    expect(stdout).toMatch(/^ratioToBare .*bar: >= 0\.3 {2}(met|missed)$/m);
    expect(stdout).toMatch(/^machine .+ cores, .+ GiB$/m);
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
  });
});

it('has every figure of the sagas bench in the reference', async () => {
  const page = await readFile('docs/reference/benchmarks.md', 'utf8');
  const [, section = ''] = page.split('## `npm run bench -- sagas`');
  const listed = [...section.matchAll(/^\| `(\w+)`/gm)].map(([, field]) => field);
  expect(listed).toEqual(FIGURES);
});
