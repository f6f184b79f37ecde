import { styleText } from 'node:util';
import { plain } from './plain-text.js';

/** What a cell may hold. */
export type Cell = string | number | Date | null | undefined;

const GAP = '  ';
/** A cell that is longer is cut: the whole of it is in `--json`. */
const MAX_WIDTH = 80;

/** Rows under their headings, in columns. The headings are bold: where nothing is styled, `run` takes that away. */
export function table(headings: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const texts = [headings.map((it) => it.toUpperCase()), ...rows.map((row) => row.map(textOf))];
  const widths = headings.map((_, column) => Math.max(...texts.map((row) => row[column]?.length ?? 0)));
  const lines = texts.map((row) => row.map((text, column) => text.padEnd(widths[column] ?? 0)).join(GAP));
  const [heading = '', ...others] = lines.map((line) => line.trimEnd());
  return [styleText('bold', heading), ...others].join('\n');
}

/** Names and values, one below the other. */
export function facts(of: Readonly<Record<string, Cell>>): string {
  const given = Object.entries(of).filter(([, value]) => value !== undefined && value !== null);
  const width = Math.max(...given.map(([name]) => name.length));
  return given.map(([name, value]) => `${name.padEnd(width)}${GAP}${textOf(value)}`).join('\n');
}

function textOf(cell: Cell): string {
  const text = plain(cell instanceof Date ? cell.toISOString() : String(cell ?? ''));
  return text.length > MAX_WIDTH ? `${text.slice(0, MAX_WIDTH - 1)}…` : text;
}
