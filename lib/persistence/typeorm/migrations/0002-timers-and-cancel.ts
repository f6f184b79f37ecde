import type { Tables } from '../identifiers.js';
import type { Migration } from './migration.js';

/**
 * What a saga waits for, and who wants it cancelled. A cancel and the point of no return meet in one row. Sagas that wait
 * have an index by the time at which they are due. Breaking: a process that does not look at `cancel_requested_at` or
 * `wake_at` would run on, or too early.
 */
const statements = (t: Tables) => [
  `ALTER TABLE ${t.instance}
    ADD COLUMN cancel_requested_at timestamptz,
    ADD COLUMN pivot_launched boolean NOT NULL DEFAULT false,
    ADD COLUMN wake_at timestamptz,
    ADD COLUMN deadline_at timestamptz`,
  `CREATE INDEX saga_instance_due ON ${t.instance} (wake_at) WHERE status = 'waiting'`,
];

export const timersAndCancel: Migration = {
  version: 2,
  name: 'timers-and-cancel',
  breaking: true,
  sql: statements,
};
