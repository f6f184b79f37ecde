import { existsSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { UsageError } from '../usage.error.js';
import { UserError } from '../user.error.js';

export const USAGE = `Usage: npm run sample:orders -- [--data DIR] [--concurrency N] [--json FILE]

  --data DIR        folder with products.csv, customers.csv, orders.csv and order-details.csv;
                    without it the run makes its own orders, the same every time
  --concurrency N   sagas at once (default 1: the same outcome at every run)
  --json FILE       write the summary there as JSON
  --help            print this`;

export interface RunOptions {
  /** Absolute path. */
  readonly data: string | undefined;
  readonly concurrency: number;
  /** Absolute path. */
  readonly json: string | undefined;
  readonly help: boolean;
}

const OPTIONS = {
  data: { type: 'string' },
  concurrency: { type: 'string' },
  json: { type: 'string' },
  help: { type: 'boolean' },
} as const;

/**
 * @param args what stands behind the command
 * @throws UsageError for an unknown option, a missing or a wrong value
 * @throws UserError when the JSON file could not be written
 */
export function parseRunOptions(args: readonly string[]): RunOptions {
  const { data, concurrency, json, help = false } = parse(args);
  return {
    data: data === undefined ? undefined : resolve(notEmpty('data', data)),
    concurrency: concurrency === undefined ? 1 : positiveInteger('concurrency', concurrency),
    json: json === undefined ? undefined : writable(resolve(notEmpty('json', json))),
    help,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, strict: true, allowPositionals: false }).values;
  } catch (error) {
    throw new UsageError(`${explain(error as NodeJS.ErrnoException)}\n\n${USAGE}`);
  }
}

function explain({ code, message }: NodeJS.ErrnoException): string {
  const name = /'(?:-\w, )?([^' ]+)/.exec(message)?.[1] ?? '';
  if (code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION') return `Unknown option ${name}.`;
  if (code === 'ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL') return `Unexpected argument "${name}".`;
  if (message.includes('does not take an argument')) return `Option ${name} takes no value.`;
  return `Option ${name} needs a value.`;
}

function notEmpty(option: string, value: string): string {
  if (value !== '') return value;
  throw new UsageError(`Option --${option} needs a value.\n\n${USAGE}`);
}

function positiveInteger(option: string, value: string): number {
  const number = Number(value);
  if (/^\d+$/.test(value) && number > 0 && Number.isSafeInteger(number)) return number;
  throw new UsageError(`Option --${option} must be a whole number from 1 on, got "${value}".\n\n${USAGE}`);
}

/** Found out before the run, not after it. */
function writable(file: string): string {
  const folder = dirname(file);
  if (!existsSync(folder))
    throw new UserError(`There is no folder ${folder}; --json names a file in an existing one.`);
  if (existsSync(file) && statSync(file).isDirectory()) {
    throw new UserError(`${file} is a folder; --json names the file to write.`);
  }
  return file;
}
