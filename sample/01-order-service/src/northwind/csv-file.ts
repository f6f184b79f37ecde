import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { CsvError, parse } from 'csv-parse/sync';
import { CsvRow } from './csv-row.js';
import { NorthwindError } from './northwind.error.js';

interface ParsedRecord {
  readonly record: string[];
  readonly line: number;
}

/**
 * Reads a comma separated file whose first line names its columns.
 *
 * @param columns names that must be among them; others are ignored
 * @throws NorthwindError naming file and line when the file is missing, is no UTF-8, or a line has another number
 *   of columns than the first; unquoted commas in texts are understood
 */
export async function readCsv(path: string, columns: readonly string[]): Promise<CsvRow[]> {
  const file = basename(path);
  const records = parseRecords(file, await readText(path));
  const header = records.shift();
  if (!header)
    throw new NorthwindError({ file }, `is empty; its first line must name the columns ${columns.join(',')}`);
  const missing = columns.filter((column) => !header.record.includes(column));
  if (missing.length > 0) {
    throw new NorthwindError({ file, line: header.line }, `has no column ${missing.join(', ')}`);
  }
  return records.map((record) => new CsvRow(file, record.line, toCells(file, header.record, record)));
}

async function readText(path: string): Promise<string> {
  const file = basename(path);
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    const problem =
      error.code === 'ENOENT' ? `is missing: there is no ${path}` : `cannot be read: ${error.message}`;
    throw new NorthwindError({ file }, problem);
  });
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new NorthwindError({ file }, 'is not encoded in UTF-8; save it in that encoding');
  }
}

function parseRecords(file: string, text: string): ParsedRecord[] {
  const records: ParsedRecord[] = [];
  const collect = (record: string[], { lines }: { readonly lines: number }) => {
    records.push({ record, line: lines });
    return null;
  };
  try {
    // Column counts are compared below, where the message can say what was expected.
    parse(text, { relax_column_count: true, skip_empty_lines: true, on_record: collect });
    return records;
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    // An unclosed quote runs on to the end of the file: what helps is where it began.
    const line = (records.at(-1)?.line ?? 0) + 1;
    throw new NorthwindError({ file, line }, `is not valid CSV: ${error.message}`);
  }
}

function toCells(
  file: string,
  header: readonly string[],
  { record, line }: ParsedRecord,
): Map<string, string> {
  const cells = record.length > header.length ? joinText(record) : record;
  if (cells.length !== header.length) {
    const expected = `${header.length} columns (${header.join(',')})`;
    throw new NorthwindError({ file, line }, `has ${record.length} columns, expected ${expected}`);
  }
  return new Map(header.map((column, index) => [column, cells[index] ?? '']));
}

/**
 * Northwind's files are written without quotes, and some addresses hold a comma: `24, place Kléber`. In a line with
 * too many columns, a comma before a blank is therefore part of the text; delimiters have none after them.
 */
function joinText(record: readonly string[]): string[] {
  return record.reduce<string[]>((cells, cell) => {
    const before = cell.startsWith(' ') ? cells.pop() : undefined;
    return [...cells, before === undefined ? cell : `${before},${cell}`];
  }, []);
}
