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

describe('the example of the README', () => {
  it('is the one that is compiled here', async () => {
    const readme = await readFile('README.md', 'utf8');
    const [, example] = /```ts\n([\s\S]*?)```/.exec(readme) ?? [];
    expect(example).toBe(await readFile('test/e2e/readme-example.ts', 'utf8'));
  });

  it('runs on the built package and prints what the README says', async () => {
    const { code } = await transform(await readFile('test/e2e/readme-example.ts', 'utf8'), COMPILER);
    await mkdir('dist/readme', { recursive: true });
    await writeFile('dist/readme/example.mjs', code);
    const { stdout } = await run(process.execPath, ['dist/readme/example.mjs']);
    const readme = await readFile('README.md', 'utf8');
    expect(readme).toContain('```\n' + stdout + '```');
    expect(stdout.trim().split('\n')).toEqual([
      'completed paid for tea',
      'tea is back on shelf 7',
      'compensated card declined',
    ]);
  });
});
