import { readFileSync, writeFileSync } from 'node:fs';
import { DEBUG_POINTS } from '../../../../lib/runtime/debug-points.js';
import { OUTCOMES, SHAPES } from '../scenarios.js';
import { momentOf, type CrashCase, type CrashResult } from './crash-case.js';

export const GUARANTEES = 'docs/reference/guarantees.md';
const BEGIN = '<!-- crash-matrix: written by npm run test:chaos -- crash-matrix --write -->';
const END = '<!-- end of crash-matrix -->';

interface Column {
  readonly title: string;
  readonly has: (it: CrashResult) => boolean;
}

const column = (title: string, has: (it: CrashCase) => boolean): Column => ({ title, has });

const COLUMNS: readonly Column[] = [
  ...Object.keys(SHAPES).map((shape) => column(shape, ({ scenario }) => scenario.shape === shape)),
  ...OUTCOMES.map((outcome) => column(outcome, ({ scenario }) => scenario.outcome === outcome)),
  column('killed twice', ({ then }) => then !== undefined),
  column('cases', () => true),
  { title: 'violations', has: ({ violations }) => violations.length > 0 },
];

/** The matrix as a table of Markdown: a row for each point, and how many of its cases are of which kind. */
export function tableOf(results: readonly CrashResult[]): string {
  const counts = (of: readonly CrashResult[]) => COLUMNS.map(({ has }) => String(of.filter(has).length));
  const rows = [
    ['killed at', ...COLUMNS.map(({ title }) => title)],
    ...DEBUG_POINTS.map((point) => [
      `\`${point}\``,
      ...counts(results.filter((it) => momentOf(it).point === point)),
    ]),
    ['all', ...counts(results)],
  ];
  const widths = (rows[0] ?? []).map((_, n) => Math.max(4, ...rows.map((row) => row[n]?.length ?? 0)));
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const padded = rows.map((row) =>
    line(row.map((cell, n) => (n === 0 ? cell.padEnd(widths[n] ?? 0) : cell.padStart(widths[n] ?? 0)))),
  );
  const rule = line(widths.map((width, n) => (n === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)));
  return [padded[0], rule, ...padded.slice(1)].join('\n');
}

/** The table that the documentation shows. */
export function documentedTable(): string {
  const text = readFileSync(GUARANTEES, 'utf8');
  const [, after = ''] = text.split(BEGIN);
  const [table = ''] = after.split(END);
  return table.trim();
}

export function documentTable(table: string): void {
  const text = readFileSync(GUARANTEES, 'utf8');
  const [before = ''] = text.split(BEGIN);
  const [, after = ''] = text.split(END);
  writeFileSync(GUARANTEES, `${before}${BEGIN}\n\n${table}\n\n${END}${after}`);
}
