import { UserError } from '../user.error.js';

/** Where in the input a fault is. */
export interface CsvPlace {
  readonly file: string;
  readonly line?: number;
  readonly column?: string;
}

/** A fault in the input files; nothing has been written when it is thrown. */
export class NorthwindError extends UserError {
  constructor({ file, line, column }: CsvPlace, problem: string) {
    const place = [file, line && `line ${line}`, column && `column ${column}`].filter(Boolean).join(', ');
    super(`${place}: ${problem}`);
  }
}
