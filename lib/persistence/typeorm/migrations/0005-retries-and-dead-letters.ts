import type { Tables } from '../identifiers.js';
import type { Migration } from './migration.js';

const EVENT = `shard smallint NOT NULL,
    event_id uuid NOT NULL,
    destination text NOT NULL,
    type text NOT NULL,
    key text NOT NULL,
    aggregate_type text,
    aggregate_id text,
    payload text NOT NULL,
    headers text NOT NULL,
    created_at timestamptz NOT NULL,
    reason text,
    attempts integer NOT NULL`;

/**
 * Events in trouble, off the way of all others: full copies, so that the outbox holds nothing but what is pending. Within a
 * key the order is that of `seq`; only the first has a time. Breaking: a process that does not look at the side table would
 * publish later events of a key past one that failed.
 */
const statements = (t: Tables) => [
  `CREATE TABLE ${t.retry} (
    seq bigint GENERATED ALWAYS AS IDENTITY,
    ${EVENT},
    blocks boolean NOT NULL,
    next_at timestamptz,
    PRIMARY KEY (shard, seq)
  )`,
  `CREATE INDEX saga_outbox_retry_due ON ${t.retry} (shard, next_at) WHERE next_at IS NOT NULL`,
  `CREATE INDEX saga_outbox_retry_key ON ${t.retry} (shard, destination, key, seq) WHERE blocks`,
  `CREATE TABLE ${t.deadLetter} (
    ${EVENT},
    died_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (event_id, destination)
  )`,
  `CREATE INDEX saga_outbox_dead_letter_died ON ${t.deadLetter} (died_at)`,
];

export const retriesAndDeadLetters: Migration = {
  version: 5,
  name: 'retries-and-dead-letters',
  breaking: true,
  sql: statements,
};
