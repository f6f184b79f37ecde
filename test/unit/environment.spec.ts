import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';

/** Folders of those that read variables, as the page calls them. */
const READERS: Readonly<Record<string, readonly string[]>> = {
  library: ['lib'],
  'command line': ['lib/cli'],
  '01': ['sample/01-order-service'],
  '02': ['sample/02-order-events'],
  '03': ['sample/03-kubernetes'],
  '05': ['sample/05-booking'],
  tests: ['test'],
};

/** How code names a variable: `env['X']`, `env.X`, or a field of a schema. */
const NAMED = /\benv(?:ironment)?(?:\['([A-Z_]+)'\]|\.([A-Z_]{3,})\b)|^ {2}([A-Z_]{3,}): z/gm;

/** The tests have switches of their own beside those that the page lists. */
const ours = (reader: string, name: string) => reader !== 'tests' || /^SAGAZ_/.test(name);

async function readBy(reader: string): Promise<Set<string>> {
  const names = new Set<string>();
  for (const folder of READERS[reader] ?? []) {
    for (const file of await readdir(folder, { recursive: true })) {
      const isCode = /\.(ts|mjs)$/.test(file) && !file.includes('node_modules');
      if (!isCode || (reader === 'library' && file.startsWith('cli'))) continue;
      const text = await readFile(path.join(folder, file), 'utf8');
      for (const [, a, b, c] of text.matchAll(NAMED)) names.add(a ?? b ?? c ?? '');
    }
  }
  return names;
}

describe('the reference of environment variables', () => {
  it('holds every variable with everybody who reads it, and no other', async () => {
    const page = await readFile('docs/reference/environment.md', 'utf8');
    const rows = [...page.matchAll(/^\| `([A-Z_]+)` +\| ([^|]*?) +\|/gm)];
    const listed = new Map(rows.map(([, name = '', readers = '']) => [name, readers.split(', ')]));
    for (const reader of Object.keys(READERS)) {
      const read = await readBy(reader);
      const told = [...listed].filter(([, readers]) => readers.includes(reader)).map(([name]) => name);
      for (const name of told) expect([reader, name, read.has(name)]).toEqual([reader, name, true]);
      for (const name of read)
        if (ours(reader, name)) expect([reader, told]).toEqual([reader, expect.arrayContaining([name])]);
    }
    for (const reader of [...listed.values()].flat()) expect(Object.keys(READERS)).toContain(reader);
  });
});
