import { stripVTControlCharacters } from 'node:util';
import { checkedOperator } from '../admin/operator.js';
import { OutboxAdmin } from '../admin/outbox-admin.js';
import { SagaAdmin } from '../admin/saga-admin.js';
import type { Persistence } from '../persistence/persistence.js';
import { errorText } from '../runtime/error-text.js';
import { SagaRegistry } from '../saga/definition/saga-registry.js';
import { SagazError } from '../saga/state/sagaz.error.js';
import type { Call, Command, Desk } from './command.js';
import { DEAD_LETTER_COMMANDS } from './commands/dead-letters.js';
import { PUBLISHED_COMMANDS } from './commands/published.js';
import { SAGA_COMMANDS } from './commands/sagas.js';
import { SCHEMA_COMMANDS } from './commands/schema.js';
import { STATUS_COMMANDS } from './commands/status.js';
import { databaseOf, defaultActor, schemaOf, type Environment } from './environment.js';
import { exitCodeOf } from './exit-code.js';
import { helpOf } from './help.js';
import { fieldOf, parse, type Parsed } from './parse.js';
import { plain, plainJson } from './plain-text.js';
import { UsageError } from './usage.error.js';

export const COMMANDS: readonly Command[] = [
  ...STATUS_COMMANDS,
  ...SAGA_COMMANDS,
  ...DEAD_LETTER_COMMANDS,
  ...PUBLISHED_COMMANDS,
  ...SCHEMA_COMMANDS,
];

/** Where a command reads and prints. */
export interface Console {
  readonly env: Environment;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Bold headings, for a terminal. Default false. */
  readonly styled?: boolean;
}

/**
 * One call of the command line, without the program around it.
 * @returns the exit code
 */
export async function run(argv: readonly string[], console: Console): Promise<number> {
  let called: Command | undefined;
  try {
    const parsed = parse(argv, COMMANDS);
    const { command, help, json } = parsed;
    called = command;
    // Programs read no help.
    if (json && !help && !command) throw new UsageError('which command? See --help');
    if (help || !command) {
      console.out(`${helpOf(command, COMMANDS)}\n`);
      return help ? 0 : exitCodeOf(new UsageError());
    }
    const output = await command.run(callOf(parsed, console.env));
    const text = console.styled ? output.text : stripVTControlCharacters(output.text);
    console.out(`${json ? plainJson(output.json) : text}\n`);
    return 0;
  } catch (error) {
    const message = inOptions(errorText(error), called);
    console.err(`${argv.includes('--json') ? asJson(error, message) : `error: ${plain(message)}`}\n`);
    return exitCodeOf(error);
  }
}

function asJson(error: unknown, message: string): string {
  const code = error instanceof SagazError ? error.code : error instanceof UsageError ? 'USAGE' : 'ERROR';
  return plainJson({ error: { code, message } });
}

/** A field at fault is named as the option that it was given by. */
function inOptions(message: string, command: Command | undefined): string {
  const [, field = '', rest = ''] = /^(\w+): (.*)$/s.exec(message) ?? [];
  const name = Object.keys(command?.options ?? {}).find((option) => fieldOf(option) === field);
  return name === undefined ? message : `--${name}: ${rest}`;
}

function callOf({ parameters, fields, actor, reason }: Parsed, env: Environment): Call {
  // Loaded for those commands that need it: the help does not.
  const open = () => import('../persistence/typeorm/open-by-url.js');
  return {
    argument: (name) => parameters[name] ?? '',
    fields,
    operator: checkedOperator({ actor: actor ?? defaultActor(), reason }),
    schema: schemaOf(env),
    atDesk: async (work) => {
      const database = databaseOf(env);
      const { withPersistence } = await open();
      return withPersistence(database, (persistence) => work(deskOf(persistence)));
    },
    withMigrator: async (work) => {
      const database = databaseOf(env);
      const { withMigrator } = await open();
      return withMigrator(database, work);
    },
  };
}

/** It runs nothing: workers see what is written within a second. */
function deskOf({ sagas: storage, interventions, outbox, retries }: Persistence): Desk {
  const settings = { storage, interventions, registry: new SagaRegistry() };
  return {
    sagas: new SagaAdmin({ ...settings, taken: () => undefined, cancelled: () => Promise.resolve() }),
    outbox: new OutboxAdmin({ outbox, retries }),
    sagaNumbers: () => storage.numbers(),
    stranded: () => storage.stranded(),
  };
}
