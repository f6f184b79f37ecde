import type { Tables } from '../identifiers.js';
import type { Migration } from './migration.js';

/**
 * Signals, which count on the saga's row so that a wait never misses one; the definitions that sagas were started with,
 * and which of them a worker has. Breaking: a process that does not know the entries of waits would misread them.
 */
const statements = (t: Tables) => [
  `CREATE TABLE ${t.signal} (
    saga_id uuid NOT NULL,
    seq integer NOT NULL,
    id text NOT NULL,
    name text NOT NULL,
    payload text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (saga_id, id)
  )`,
  `CREATE TABLE ${t.definition} (
    name text NOT NULL,
    version integer NOT NULL,
    hash text NOT NULL,
    plan jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, version, hash)
  )`,
  `ALTER TABLE ${t.instance}
    ADD COLUMN signal_seq integer NOT NULL DEFAULT 0,
    ADD COLUMN definition text NOT NULL DEFAULT ''`,
  `ALTER TABLE ${t.worker} ADD COLUMN definitions jsonb NOT NULL DEFAULT '[]'`,
  // A saga's end is written beside its input, on the same page.
  `ALTER TABLE ${t.payload} SET (fillfactor = 60)`,
  `CREATE INDEX saga_key_created ON ${t.key} (created_at)`,
];

export const signalsAndDefinitions: Migration = {
  version: 4,
  name: 'signals-and-definitions',
  breaking: true,
  sql: statements,
};
