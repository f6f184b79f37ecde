import type { Tables } from '../identifiers.js';
import type { Migration } from './migration.js';

/**
 * What consumers have processed, which deliveries failed, and what participants of sagas did and undid. Events for later and
 * dead letters that nobody can have seen carry a stamp of their own, by which consumers judge their age.
 */
const statements = (t: Tables) => [
  `CREATE TABLE ${t.inbox} (
    consumer text NOT NULL,
    message_id text NOT NULL,
    stamp timestamptz NOT NULL,
    processed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (consumer, message_id)
  )`,
  `CREATE INDEX consumer_inbox_stamp ON ${t.inbox} (stamp)`,
  `CREATE TABLE ${t.inboxFailure} (
    consumer text NOT NULL,
    message_id text NOT NULL,
    failures integer NOT NULL,
    error text NOT NULL,
    failed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (consumer, message_id)
  )`,
  `CREATE INDEX consumer_inbox_failure_at ON ${t.inboxFailure} (failed_at)`,
  `CREATE TABLE ${t.barrier} (
    saga_id uuid NOT NULL,
    step text NOT NULL,
    op text NOT NULL CHECK (op IN ('action', 'undo')),
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (saga_id, step, op)
  )`,
  `CREATE INDEX saga_barrier_at ON ${t.barrier} (at)`,
  `ALTER TABLE ${t.retry} ADD COLUMN stamped_at timestamptz`,
  `ALTER TABLE ${t.deadLetter} ADD COLUMN stamped_at timestamptz`,
];

export const inbox: Migration = { version: 7, name: 'inbox', breaking: false, sql: statements };
