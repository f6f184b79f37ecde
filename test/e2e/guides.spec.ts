import { transform } from '@swc/core';
import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Decorators as users compile them. */
const COMPILER = {
  jsc: {
    target: 'es2022',
    parser: { syntax: 'typescript', decorators: true },
    transform: { legacyDecorator: true, decoratorMetadata: true },
  },
  module: { type: 'es6' },
} as const;

/** The fenced blocks of a page in one language. */
function blocksOf(page: string, language: string): readonly string[] {
  const fences = [...page.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)];
  return fences.filter(([, found]) => found === language).map(([, , block]) => block ?? '');
}

describe.each(['defining-sagas', 'waiting'])('the guide %s', (name) => {
  const page = () => readFile(`docs/guides/${name}.md`, 'utf8');
  const example = () => readFile(`test/e2e/${name}-example.ts`, 'utf8');

  it('shows parts of the example that is compiled here', async () => {
    const [blocks, whole] = [blocksOf(await page(), 'ts'), await example()];
    expect(blocks.length).toBeGreaterThan(0);
    expect(blocks.filter((block) => !whole.includes(block))).toEqual([]);
  });

  it('shows what the example prints, run on the built package', async () => {
    const { code } = await transform(await example(), COMPILER);
    await mkdir('dist/guides', { recursive: true });
    await writeFile(`dist/guides/${name}.mjs`, code);
    const { stdout } = await run(process.execPath, [`dist/guides/${name}.mjs`]);
    const blocks = blocksOf(await page(), '');
    expect(blocks.length).toBeGreaterThan(0);
    expect(blocks.filter((block) => !stdout.includes(block))).toEqual([]);
  });
});
