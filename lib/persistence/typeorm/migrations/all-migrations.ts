import { tablesOf } from '../identifiers.js';
import { initial } from './0001-initial.js';
import { timersAndCancel } from './0002-timers-and-cancel.js';
import { sessions } from './0003-sessions.js';
import { signalsAndDefinitions } from './0004-signals-and-definitions.js';
import { retriesAndDeadLetters } from './0005-retries-and-dead-letters.js';
import { suspectsAndSentEvents } from './0006-suspects-and-sent-events.js';
import { inbox } from './0007-inbox.js';
import { audit } from './0008-audit.js';
import { sagaHeaders } from './0009-saga-headers.js';
import { auditTarget } from './0010-audit-target.js';
import type { Migration } from './migration.js';

/** Every migration, oldest first. */
export const ALL_MIGRATIONS: readonly Migration[] = [
  initial,
  timersAndCancel,
  sessions,
  signalsAndDefinitions,
  retriesAndDeadLetters,
  suspectsAndSentEvents,
  inbox,
  audit,
  sagaHeaders,
  auditTarget,
];

/** The table that says which migrations a schema has. */
export function migrationTableSql(schema: string): readonly string[] {
  return [
    `CREATE SCHEMA IF NOT EXISTS "${schema}"`,
    `CREATE TABLE IF NOT EXISTS ${tablesOf(schema).migration} (
    version integer PRIMARY KEY,
    name text NOT NULL,
    breaking boolean NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
  )`,
  ];
}

/** The statements of one migration, the last of which notes that it was applied. */
export function statementsOf(migration: Migration, schema: string): readonly string[] {
  const tables = tablesOf(schema);
  const note = `INSERT INTO ${tables.migration} (version, name, breaking) VALUES (${migration.version}, '${migration.name}', ${migration.breaking})`;
  return [...migration.sql(tables), note];
}

export interface MigrationSqlOptions {
  /** Default `'public'`. */
  readonly schema?: string;
  /** The version the schema has. Default 0, nothing. */
  readonly from?: number;
  /** The version it shall have. Default: the newest. */
  readonly to?: number;
}

/**
 * The SQL text that brings a schema from one version to another, for those who run their own migrations.
 * Run it in one transaction.
 */
export function migrationSql({
  schema = 'public',
  from = 0,
  to = Infinity,
}: MigrationSqlOptions = {}): string {
  const wanted = ALL_MIGRATIONS.filter(({ version }) => version > from && version <= to);
  const statements = [
    ...(from === 0 ? migrationTableSql(schema) : []),
    ...wanted.flatMap((it) => statementsOf(it, schema)),
  ];
  return statements.map((statement) => `${statement};\n`).join('\n');
}
