import { ALL_MIGRATIONS, migrationSql } from '../../persistence/typeorm/migrations/all-migrations.js';
import type { Command } from '../command.js';
import { UsageError } from '../usage.error.js';

const none = { parameters: [], options: {}, changes: false } as const;

const migrate: Command = {
  ...none,
  name: 'migrate',
  summary: 'brings our tables to the version of this package',
  async run(call) {
    await call.withMigrator((migrator) => migrator.run());
    const { schema } = call;
    return {
      text: `the tables in schema "${schema}" are those of this version`,
      json: { schema, upToDate: true },
    };
  },
};

const check: Command = {
  ...none,
  name: 'check',
  summary: 'says whether our tables are those of this package; changes nothing',
  async run(call) {
    await call.withMigrator((migrator) => migrator.check());
    const { schema } = call;
    return {
      text: `the tables in schema "${schema}" are those of this version`,
      json: { schema, upToDate: true },
    };
  },
};

const sql: Command = {
  ...none,
  name: 'sql',
  summary:
    'prints the statements that migrate runs, for those who run them in another way; needs no database',
  options: {
    from: { value: 'N', help: 'the version that the schema has, default 0' },
    to: { value: 'N', help: 'the version that it shall have, default the newest' },
  },
  run({ fields, schema }) {
    const [from, to] = [versionOf('from', fields['from']), versionOf('to', fields['to'])];
    if (from !== undefined && to !== undefined && to < from)
      throw new UsageError(`--to: ${to} is before --from ${from}; nothing is taken back`);
    const text = migrationSql({
      schema,
      ...(from !== undefined && { from }),
      ...(to !== undefined && { to }),
    });
    return Promise.resolve({ text: text.trimEnd(), json: { schema, sql: text } });
  },
};

const newest = ALL_MIGRATIONS.length;

function versionOf(name: string, given: unknown): number | undefined {
  if (given === undefined) return undefined;
  if (typeof given === 'string' && /^\d{1,6}$/.test(given) && Number(given) <= newest) return Number(given);
  throw new UsageError(`--${name}: expected the number of a migration, 0 to ${newest}`);
}

export const SCHEMA_COMMANDS: readonly Command[] = [migrate, check, sql];
