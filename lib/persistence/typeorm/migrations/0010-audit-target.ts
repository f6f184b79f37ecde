import type { Tables } from '../identifiers.js';
import type { Migration } from './migration.js';

/**
 * An entry of an index has at most a third of a page, and a target may be a filter with many ids: the action failed with its
 * note. An older process still finds the actions on one target, only without an index.
 */
const statements = (t: Tables) => [
  `CREATE INDEX saga_audit_target_start ON ${t.audit} (left(target, 100), id)`,
  `DROP INDEX "${t.schema}".saga_audit_target`,
];

export const auditTarget: Migration = {
  version: 10,
  name: 'audit-target',
  breaking: false,
  sql: statements,
};
