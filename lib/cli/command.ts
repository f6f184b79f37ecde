import type { OutboxAdmin } from '../admin/outbox-admin.js';
import type { Operator } from '../admin/operator.js';
import type { SagaAdmin } from '../admin/saga-admin.js';
import type { Fields } from '../admin/text-fields.js';
import type { SagaNumbers, StrandedSagas } from '../saga/saga-storage.js';
import type { Migrator } from '../persistence/typeorm/migrations/migrator.js';

/** What a command found or did: for people, and for programs. */
export interface Output {
  readonly text: string;
  /** Printed with `--json`. */
  readonly json: unknown;
}

/** The tables of one application, as an operator works on them. */
export interface Desk {
  readonly sagas: SagaAdmin;
  readonly outbox: OutboxAdmin;
  readonly sagaNumbers: () => Promise<SagaNumbers>;
  readonly stranded: () => Promise<readonly StrandedSagas[]>;
}

/** What a command is called with. */
export interface Call {
  /** Its positional arguments, by name. */
  argument(name: string): string;
  /** Its options that take a text, by name. */
  readonly fields: Fields;
  readonly operator: Operator;
  readonly schema: string;
  /** Opens the database for the time of the work. */
  atDesk<T>(work: (desk: Desk) => Promise<T>): Promise<T>;
  withMigrator<T>(work: (migrator: Migrator) => Promise<T>): Promise<T>;
}

export interface CommandOption {
  /** What stands for its value in the help. */
  readonly value: string;
  readonly help: string;
  /** May be given several times. */
  readonly multiple?: true;
}

export interface Command {
  /** Words that call it. */
  readonly name: string;
  readonly summary: string;
  /** Names of its positional arguments, each of which must be there. */
  readonly parameters: readonly string[];
  readonly options: Readonly<Record<string, CommandOption>>;
  /** It changes something, and so takes `--actor` and `--reason`. */
  readonly changes: boolean;
  run(call: Call): Promise<Output>;
}
