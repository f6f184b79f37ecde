import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import * as everything from '../../lib/index.js';
import type { DefinitionFaultKind } from '../../lib/index.js';

/** A record names every kind, or it does not compile. */
const FAULT_KINDS: Record<DefinitionFaultKind, true> = {
  BESIDE_PIVOT: true,
  COMPENSATION_ON_PIVOT: true,
  COMPENSATION_WITHOUT_STEP: true,
  CYCLE: true,
  DUPLICATE_COMPENSATION: true,
  DUPLICATE_SAGA: true,
  DUPLICATE_STEP: true,
  INVALID_OPTION: true,
  MISSING_COMPENSATION: true,
  MISSING_DEPENDS_ON: true,
  NOT_RETRIABLE_AFTER_PIVOT: true,
  NOT_SINGLETON: true,
  NO_STEPS: true,
  SEVERAL_PIVOTS: true,
  UNKNOWN_DEPENDENCY: true,
  UNKNOWN_PROBE: true,
  UNKNOWN_SAGA: true,
  WAIT_WITHOUT_TIMEOUT: true,
};

async function markdownFiles(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true });
  return names.filter((name) => name.endsWith('.md')).map((name) => path.join(folder, name));
}

function codeOf(type: abstract new (...args: never[]) => Error): unknown {
  // Arguments that fit every constructor of the catalogue.
  const error = Reflect.construct(type, [['x'], ['x']]) as Error & { code?: unknown };
  return error.code;
}

describe('the reference of errors', () => {
  it('holds every error class with its code and HTTP status, and no other', async () => {
    const page = await readFile('docs/reference/errors.md', 'utf8');
    expect(page).not.toMatch(/\*\/|\bexport\b/);
    const listed = [...page.matchAll(/^\| `(\w+Error)`\s*\| `(\w+)`\s*\|\s*(\d*)\s*\|/gm)].map(
      ([, name, code, status]) => [name, code, status],
    );
    const classes = Object.entries(everything).filter(
      ([name]) => name.endsWith('Error') && name !== 'SagazError',
    );
    const exported = classes.map(([name, type]) => {
      const constructor = type as unknown as abstract new (...args: never[]) => Error;
      const status = (Reflect.construct(constructor, [['x'], ['x']]) as { status?: number }).status;
      return [name, codeOf(constructor), String(status ?? '')];
    });
    expect(listed).toEqual(exported.sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)));
  });

  it('holds every kind of fault, and no other', async () => {
    const page = await readFile('docs/reference/errors.md', 'utf8');
    const listed = [...page.matchAll(/^\| `([A-Z_]+)`\s*\|/gm)].map(([, kind]) => kind);
    expect(listed).toEqual(Object.keys(FAULT_KINDS));
  });
});

describe('the documentation', () => {
  it('names only files that exist', async () => {
    const pages = [
      'README.md',
      'CHANGELOG.md',
      ...(await markdownFiles('docs')),
      ...(await markdownFiles('sample')),
    ];
    const missing: string[] = [];
    for (const page of pages) {
      const text = await readFile(page, 'utf8');
      const links = [...text.matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, link]) =>
        path.join(path.dirname(page), link ?? ''),
      );
      const tests = [...text.matchAll(/`(test\/[\w./-]+)`/g)].map(([, file]) => file ?? '');
      for (const file of [...links, ...tests]) {
        await stat(file).catch(() => missing.push(`${page}: ${file}`));
      }
    }
    expect(missing).toEqual([]);
  });
});
