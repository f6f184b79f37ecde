import { SENT_LEAVES } from '../sent-leaves.js';
import type { Tables } from '../identifiers.js';
import type { Migration } from './migration.js';

const LEAVES = Array.from({ length: SENT_LEAVES }, (_, leaf) => leaf);

/**
 * What is remembered of shards whose owner died, so that an event that kills its publisher is found; parked keys; and
 * published events for as long as they are kept, in leaves that are emptied one after the other: no table is made or
 * dropped while events are written.
 */
const statements = (t: Tables) => [
  `ALTER TABLE ${t.shard}
    ADD COLUMN unclean boolean NOT NULL DEFAULT false,
    ADD COLUMN accused_id bigint,
    ADD COLUMN accused_times integer NOT NULL DEFAULT 0`,
  `ALTER TABLE ${t.retry}
    ADD COLUMN flights integer NOT NULL DEFAULT 0,
    ADD COLUMN parked_at timestamptz`,
  `CREATE INDEX saga_outbox_retry_parked ON ${t.retry} (parked_at) WHERE parked_at IS NOT NULL`,
  `CREATE TABLE ${t.sent} (
    leaf smallint NOT NULL,
    id bigint,
    shard smallint NOT NULL,
    event_id uuid NOT NULL,
    destination text NOT NULL,
    type text NOT NULL,
    key text NOT NULL,
    aggregate_type text,
    aggregate_id text,
    payload text NOT NULL,
    headers text NOT NULL,
    created_at timestamptz NOT NULL,
    sent_at timestamptz NOT NULL DEFAULT clock_timestamp()
  ) PARTITION BY LIST (leaf)`,
  ...LEAVES.map((leaf) => `CREATE TABLE ${t.sentLeaf(leaf)} PARTITION OF ${t.sent} FOR VALUES IN (${leaf})`),
  `CREATE INDEX saga_outbox_sent_at ON ${t.sent} USING brin (sent_at)`,
  `CREATE INDEX saga_outbox_sent_event ON ${t.sent} (event_id)`,
];

export const suspectsAndSentEvents: Migration = {
  version: 6,
  name: 'suspects-and-sent-events',
  breaking: false,
  sql: statements,
};
