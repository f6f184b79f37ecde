import { parseArgs, type ParseArgsConfig } from 'node:util';
import type { Fields } from '../admin/text-fields.js';
import { didYouMean } from '../runtime/did-you-mean.js';
import type { Command } from './command.js';
import { UsageError } from './usage.error.js';

/** What a command line says. */
export interface Parsed {
  /** Undefined with `help` on its own. */
  readonly command: Command | undefined;
  readonly help: boolean;
  readonly json: boolean;
  readonly parameters: Readonly<Record<string, string>>;
  /** Options of the command, by their names in camel case. */
  readonly fields: Fields;
  readonly actor: string | undefined;
  readonly reason: string | undefined;
}

type OptionsConfig = NonNullable<ParseArgsConfig['options']>;

const COMMON: OptionsConfig = { json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } };
const OPERATOR: OptionsConfig = { actor: { type: 'string' }, reason: { type: 'string' } };

/** @throws UsageError that says what was meant, where it can be guessed */
export function parse(argv: readonly string[], commands: readonly Command[]): Parsed {
  const { positionals } = parseArgs({ args: wordsFirst(argv), strict: false, allowPositionals: true });
  const command = commandOf(positionals, commands);
  const options = optionsOf(command);
  refuseMistakes(argv, options);
  const { values, positionals: words } = parsed(argv, options);
  const { json = false, help = false, actor, reason, ...fields } = values;
  const parameters = help === true ? {} : parametersOf(command, words);
  return {
    ...{ command, parameters, help: help === true, json: json === true },
    ...{ actor: actor as string | undefined, reason: reason as string | undefined },
    fields: Object.fromEntries(
      Object.entries(fields).map(([name, value]) => [fieldOf(name), value as string | string[]]),
    ),
  };
}

/** The words before the first option: those behind one may be its value. */
function wordsFirst(argv: readonly string[]): string[] {
  const first = argv.findIndex(
    (word) => word.startsWith('-') && word !== '--help' && word !== '-h' && word !== '--json',
  );
  return argv.slice(0, first < 0 ? argv.length : first);
}

function commandOf(words: readonly string[], commands: readonly Command[]): Command | undefined {
  if (words.length === 0) return undefined;
  const found = commands.find(({ name }) => name === words.slice(0, name.split(' ').length).join(' '));
  if (found) return found;
  const [group = ''] = words;
  const within = commands.filter(({ name }) => name.startsWith(`${group} `));
  const said = words.slice(0, within.length > 0 ? 2 : 1).join(' ');
  const names = (within.length > 0 ? within : commands).map(({ name }) => name);
  const known = within.length > 0 ? names : [...names, ...names.map((name) => name.split(' ')[0] ?? '')];
  const hint = didYouMean(said, known);
  const choice = within.length > 0 ? ` (${names.join(', ')})` : '';
  throw new UsageError(`there is no command "${said}"${hint}${hint === '' ? choice : ''}`);
}

function optionsOf(command: Command | undefined): OptionsConfig {
  const own = Object.entries(command?.options ?? {}).map(([name, { multiple = false }]) => [
    name,
    { type: 'string', multiple },
  ]);
  return { ...COMMON, ...(command?.changes && OPERATOR), ...(Object.fromEntries(own) as OptionsConfig) };
}

/** A repeated option is refused as well: `parseArgs` keeps the last one, and a change would be of something else than was said. */
function refuseMistakes(argv: readonly string[], options: OptionsConfig): void {
  const { tokens } = parseArgs({
    args: [...argv],
    options,
    strict: false,
    tokens: true,
    allowPositionals: true,
  });
  const given = new Set<string>();
  for (const token of tokens) {
    if (token.kind !== 'option') continue;
    const { name, rawName } = token;
    const option = options[name];
    if (!option) throw noOption(name, rawName, options);
    if (option.type === 'string' && option.multiple !== true && given.has(name))
      throw new UsageError(`--${name}: give it once`);
    given.add(name);
  }
}

function noOption(name: string, rawName: string, options: OptionsConfig): UsageError {
  const hint = didYouMean(name, Object.keys(options)).replace(/"(.*)"/, '"--$1"');
  return new UsageError(`there is no option ${rawName}${hint}`);
}

function parsed(argv: readonly string[], options: OptionsConfig) {
  try {
    return parseArgs({ args: [...argv], options, allowPositionals: true });
  } catch (error) {
    throw new UsageError((error as Error).message.split('\n')[0]);
  }
}

function parametersOf(command: Command | undefined, words: readonly string[]): Record<string, string> {
  if (!command) return {};
  const { name, parameters } = command;
  const given = words.slice(name.split(' ').length);
  const missing = parameters[given.length];
  if (missing !== undefined) throw new UsageError(`${name}: ${missing} is missing`);
  const extra = given[parameters.length];
  if (extra !== undefined) throw new UsageError(`${name}: "${extra}" is one argument too many`);
  return Object.fromEntries(parameters.map((parameter, index) => [parameter, given[index] ?? '']));
}

/** The field that an option gives: its name in camel case, and what the filters of events call them. */
export function fieldOf(option: string): string {
  if (option === 'event') return 'eventIds';
  return option.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}
