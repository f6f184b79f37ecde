import { readFileSync } from 'node:fs';
import { MUTATIONS } from '../mutations/mutations.mjs';

describe('the mutations that the suites must notice', () => {
  it.each(MUTATIONS)('$name: its place is in the code', (mutation) => {
    const { file, from, to, all = false } = mutation;
    const places = readFileSync(file, 'utf8').split(from).length - 1;
    expect(places).toBeGreaterThan(0);
    if (!all) expect(places).toBe(1);
    expect(to).not.toBe(from);
  });
});
