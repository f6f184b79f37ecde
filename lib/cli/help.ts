import type { Command } from './command.js';
import { EXIT_CODES } from './exit-code.js';

const COMMON = [
  ['--json', 'prints JSON for programs'],
  ['-h, --help', 'prints this'],
] as const;
const OPERATOR = [
  ['--actor NAME', 'who, for the audit; default: the user and host'],
  ['--reason TEXT', 'why, for the audit'],
] as const;

type Lines = readonly (readonly [string, string])[];

/** The help of one command, or of all. */
export function helpOf(command: Command | undefined, commands: readonly Command[]): string {
  return command ? helpOfOne(command) : helpOfAll(commands);
}

function helpOfAll(commands: readonly Command[]): string {
  const parts = [
    'nestjs-sagaz <command> [options]',
    listed(
      'Commands',
      commands.map((it) => [usageOf(it), it.summary]),
    ),
    listed('Options', COMMON),
    listed('Environment', [
      ['DATABASE_URL', 'postgres://user:password@host:5432/database; required'],
      ['SAGAZ_SCHEMA', 'schema of our tables; default public'],
    ]),
    listed(
      'Exit codes',
      Object.entries(EXIT_CODES).map(([code, { help }]) => [code, help]),
    ),
    'nestjs-sagaz <command> --help says more about a command.',
  ];
  return parts.join('\n\n');
}

function helpOfOne(command: Command): string {
  const own = Object.entries(command.options).map(([name, { value, help, multiple }]) => [
    `--${name} ${value}`,
    multiple ? `${help}; may be repeated` : help,
  ]) as unknown as Lines;
  const options = [...own, ...(command.changes ? OPERATOR : []), ...COMMON];
  return [`nestjs-sagaz ${usageOf(command)} [options]`, command.summary, listed('Options', options)].join(
    '\n\n',
  );
}

function usageOf({ name, parameters }: Command): string {
  return [name, ...parameters.map((parameter) => `<${parameter}>`)].join(' ');
}

function listed(title: string, lines: Lines): string {
  const width = Math.max(...lines.map(([name]) => name.length));
  return [`${title}:`, ...lines.map(([name, help]) => `  ${name.padEnd(width)}  ${help}`)].join('\n');
}
