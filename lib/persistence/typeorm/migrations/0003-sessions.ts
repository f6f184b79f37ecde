import type { Tables } from '../identifiers.js';
import type { Migration } from './migration.js';

/**
 * Workers hold a session lock, and are declared dead before anybody takes what they own. What may be claimed is found by
 * its owner: nobody's sagas, and those of the dead, without a look at the sagas of the living. What waits for an operator
 * is found without a look at all that has ended. Breaking: a process that
 * does not know that it was declared dead would take its sagas back.
 */
const statements = (t: Tables) => [
  `ALTER TABLE ${t.worker}
    ADD COLUMN lease_ms integer NOT NULL DEFAULT 10000,
    ADD COLUMN lock_key integer,
    ADD COLUMN postmaster_start timestamptz,
    ADD COLUMN dead boolean NOT NULL DEFAULT false`,
  `CREATE SEQUENCE ${t.lockNumber} AS integer MINVALUE 1 CYCLE`,
  `DROP INDEX "${t.schema}".saga_instance_claimable`,
  `CREATE INDEX saga_instance_stuck ON ${t.instance} (id) WHERE status IN ('failed', 'parked')`,
  `CREATE INDEX saga_instance_owner ON ${t.instance} (owner, id) WHERE status IN ('pending', 'running', 'compensating')`,
];

export const sessions: Migration = {
  version: 3,
  name: 'sessions',
  breaking: true,
  sql: statements,
};
