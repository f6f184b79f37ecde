import { Decimal } from 'decimal.js';
import { NorthwindError } from './northwind.error.js';

const DECIMAL = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d{1,2})?$/i;

/** How the files write "no value". */
const NULL = 'NULL';

/** Limits of a number, both included. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

/** One line of a file; every reader throws a NorthwindError that names the place and what stands there. */
export class CsvRow {
  constructor(
    readonly file: string,
    readonly line: number,
    private readonly cells: ReadonlyMap<string, string>,
  ) {}

  text(column: string): string {
    const value = this.optionalText(column);
    if (value === null) throw this.fault(column, 'must not be empty');
    return value;
  }

  optionalText(column: string): string | null {
    const value = this.cells.get(column)?.trim() ?? '';
    if (value.includes('\u0000')) throw this.fault(column, 'must not hold a NUL character');
    return value === '' || value === NULL ? null : value;
  }

  integer(column: string, { min, max }: Range): number {
    const value = this.cells.get(column)?.trim() ?? '';
    const number = Number(value);
    if (/^[+-]?\d+$/.test(value) && number >= min && number <= max) return number;
    throw this.fault(column, `must be a whole number from ${min} to ${max}`);
  }

  /** Decimal text, exactly as far as digits go. */
  decimal(column: string, { min, max }: Range): string {
    const value = this.cells.get(column)?.trim() ?? '';
    if (DECIMAL.test(value) && new Decimal(value).gte(min) && new Decimal(value).lte(max)) return value;
    throw this.fault(column, `must be a number from ${min} to ${max}`);
  }

  optionalDate(column: string): string | null {
    const value = this.optionalText(column);
    if (value === null || !Number.isNaN(Date.parse(value))) return value;
    throw this.fault(column, `must be a date or ${NULL}`);
  }

  fault(column: string, problem: string): NorthwindError {
    const { file, line } = this;
    return new NorthwindError({ file, line, column }, `${problem}, got "${this.cells.get(column) ?? ''}"`);
  }
}
