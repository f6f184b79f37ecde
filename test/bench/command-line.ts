import { parseArgs } from 'node:util';
import type { Bench } from './bench.js';

export interface Command {
  readonly bench: Bench;
  /** File that takes the figures. */
  readonly json: string | undefined;
  readonly quick: boolean;
}

/** The command line names no bench, or an option that does not exist. */
export class UsageError extends Error {}

const OPTIONS = { json: { type: 'string' }, quick: { type: 'boolean', default: false } } as const;

/** @throws UsageError with the list of the benches */
export function readCommand(args: readonly string[], benches: readonly Bench[]): Command {
  const { values, positionals } = parse(args, benches);
  const [name, ...more] = positionals;
  if (name === undefined) throw new UsageError(`name a bench\n\n${usage(benches)}`);
  const bench = benches.find((it) => it.name === name);
  if (!bench) throw new UsageError(`there is no bench "${name}"\n\n${usage(benches)}`);
  if (more.length > 0)
    throw new UsageError(`one bench at a time, got also ${more.join(' ')}\n\n${usage(benches)}`);
  return { bench, json: values.json, quick: values.quick };
}

function parse(args: readonly string[], benches: readonly Bench[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : String(error)}\n\n${usage(benches)}`);
  }
}

function usage(benches: readonly Bench[]): string {
  return [
    'npm run bench -- <name> [--json FILE] [--quick]',
    '',
    ...benches.map(({ name, about }) => `  ${name.padEnd(14)} ${about}`),
    '',
    '  --json FILE    write the figures to a file',
    '  --quick        a few seconds, only to see that the bench works',
  ].join('\n');
}
