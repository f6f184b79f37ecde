import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { MUTATIONS } from './mutations.mjs';

// npm run test:mutations [-- word of a name ...]
// Tests the tests: takes one rule away at a time, in a copy, and looks whether the suite that guards it turns red.
const words = process.argv.slice(2);
const chosen = MUTATIONS.filter(({ name }) => words.every((word) => name.includes(word)));
const copy = mkdtempSync(join(tmpdir(), 'nestjs-sagaz-mutations-'));
const PARTS = [
  'lib',
  'test',
  'package.json',
  'jest.config.mjs',
  'tsconfig.json',
  'tsconfig.build.json',
  'docs',
];
let green = 0;
try {
  for (const part of PARTS)
    cpSync(part, join(copy, part), { recursive: true, filter: (path) => !path.includes('node_modules') });
  symlinkSync(resolve('node_modules'), join(copy, 'node_modules'));
  for (const mutation of chosen) {
    const verdict = isCaught(mutation) ? 'red' : 'GREEN';
    if (verdict === 'GREEN') green += 1;
    process.stdout.write(`${verdict.padEnd(6)} ${mutation.name} (${mutation.suite})\n`);
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
process.stdout.write(`${chosen.length - green} passed, ${green} failed, 0 skipped\n`);
process.exitCode = green > 0 || chosen.length === 0 ? 1 : 0;

function isCaught({ name, file, from, to, all = false, suite }) {
  const path = join(copy, file);
  const text = readFileSync(path, 'utf8');
  const places = text.split(from).length - 1;
  if (places === 0 || (places > 1 && !all))
    throw new Error(`${name}: its place stands ${places} times in ${file}`);
  writeFileSync(path, text.replaceAll(from, to));
  const jest = [
    '--experimental-vm-modules',
    '--disable-warning=ExperimentalWarning',
    'node_modules/jest/bin/jest.js',
  ];
  const { status } = spawnSync(
    process.execPath,
    [...jest, suite, '--bail', '--testTimeout=8000', '--forceExit'],
    {
      cwd: copy,
      stdio: 'ignore',
      timeout: 180_000,
    },
  );
  writeFileSync(path, text);
  return status !== 0;
}
