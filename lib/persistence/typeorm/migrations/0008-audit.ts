import type { Tables } from '../identifiers.js';
import type { Migration } from './migration.js';

/**
 * What operators did. Breaking: their actions stand in the journal too, as entries that an older process does not know; it
 * would park the saga.
 */
const statements = (t: Tables) => [
  `CREATE TABLE ${t.audit} (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    before jsonb,
    after jsonb,
    reason text
  )`,
  `CREATE INDEX saga_audit_target ON ${t.audit} (target, id)`,
];

export const audit: Migration = { version: 8, name: 'audit', breaking: true, sql: statements };
