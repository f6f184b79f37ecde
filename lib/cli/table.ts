/** What a cell may hold. */
export type Cell = string | number | Date | null | undefined;

const GAP = '  ';
/** A cell that is longer is cut: the whole of it is in `--json`. */
const MAX_WIDTH = 80;

/** Rows under their headings, in columns. */
export function table(headings: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const texts = [headings.map((it) => it.toUpperCase()), ...rows.map((row) => row.map(textOf))];
  const widths = headings.map((_, column) => Math.max(...texts.map((row) => row[column]?.length ?? 0)));
  const lines = texts.map((row) => row.map((text, column) => text.padEnd(widths[column] ?? 0)).join(GAP));
  return lines.map((line) => line.trimEnd()).join('\n');
}

/** Names and values, one below the other. */
export function facts(of: Readonly<Record<string, Cell>>): string {
  const given = Object.entries(of).filter(([, value]) => value !== undefined && value !== null);
  const width = Math.max(...given.map(([name]) => name.length));
  return given.map(([name, value]) => `${name.padEnd(width)}${GAP}${textOf(value)}`).join('\n');
}

/** Texts come from events and errors: nothing of them may steer a terminal. */
function textOf(cell: Cell): string {
  const text = cell instanceof Date ? cell.toISOString() : String(cell ?? '');
  const plain = text.replaceAll(/[\u0000-\u001f\u007f-\u009f]+/g, ' ');
  return plain.length > MAX_WIDTH ? `${plain.slice(0, MAX_WIDTH - 1)}…` : plain;
}
