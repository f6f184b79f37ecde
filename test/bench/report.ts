import { readFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import type { Figure } from './bench.js';

/** What the figures were made on. */
export async function surroundings(): Promise<string> {
  const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
  const cores = cpus();
  const memory = (totalmem() / 2 ** 30).toFixed(1);
  return [
    `machine       ${cores[0]?.model.trim() ?? 'unknown'}, ${cores.length} cores, ${memory} GiB`,
    `node          ${process.version}`,
    `nestjs-sagaz  ${version}`,
  ].join('\n');
}

/** One line per figure: name, value, unit, and its bar. */
export function table(figures: readonly Figure[]): string {
  const rows = figures.map(({ field, value, unit, bar }) => {
    const verdict = bar ? `bar: ${bar.text}  ${bar.met(value) ? 'met' : 'missed'}` : '';
    return [field, shown(value), unit, verdict];
  });
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map(([field = '', value = '', unit = '', verdict = '']) =>
      [field.padEnd(widths[0] ?? 0), value.padStart(widths[1] ?? 0), unit.padEnd(widths[2] ?? 0), verdict]
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** As many digits as mean something. */
function shown(value: number): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
