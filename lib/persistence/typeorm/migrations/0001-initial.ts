import { SHARD_COUNT } from '../../../events/shard.js';
import { SagaStatus } from '../../../saga/state/saga-status.js';
import type { Tables } from '../identifiers.js';
import type { Migration } from './migration.js';

const STATUSES = Object.values(SagaStatus)
  .map((status) => `'${status}'`)
  .join(', ');

/**
 * Sagas. A saga's status is in a narrow row (fillfactor 70, so that updates stay on their page), its texts in
 * saga_payload, its facts in the append-only journal. The one partial index holds only what may be claimed.
 */
const sagas = (t: Tables) => [
  `CREATE TABLE ${t.instance} (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    version integer NOT NULL,
    status text NOT NULL CHECK (status IN (${STATUSES})),
    epoch bigint NOT NULL DEFAULT 0,
    owner text,
    launch text[] NOT NULL DEFAULT '{}',
    correlation_id text NOT NULL,
    tags jsonb NOT NULL DEFAULT '{}',
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz
  ) WITH (fillfactor = 70)`,
  `CREATE INDEX saga_instance_claimable ON ${t.instance} (id) WHERE status IN ('pending', 'running', 'compensating')`,
  `CREATE TABLE ${t.payload} (saga_id uuid PRIMARY KEY, input text NOT NULL, results text, error text)`,
  `CREATE TABLE ${t.journal} (
    saga_id uuid NOT NULL,
    seq integer NOT NULL,
    epoch bigint NOT NULL,
    kind text NOT NULL,
    step text,
    attempt integer NOT NULL,
    launch text[] NOT NULL DEFAULT '{}',
    data text,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (saga_id, seq)
  )`,
  `CREATE TABLE ${t.key} (
    name text NOT NULL,
    key text NOT NULL,
    input_hash text NOT NULL,
    saga_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, key)
  )`,
  `CREATE TABLE ${t.worker} (
    id text PRIMARY KEY,
    relays boolean NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    heartbeat_at timestamptz NOT NULL DEFAULT clock_timestamp()
  ) WITH (fillfactor = 50)`,
];

/**
 * The outbox holds pending events and nothing else; `xid` lets the relay find rows that committed late. Autovacuum is
 * told to follow a table that is filled and emptied all day. Shards have room on their page, so that a lease is a
 * heap-only update.
 */
const outbox = (t: Tables) => [
  `CREATE TABLE ${t.outbox} (
    id bigint GENERATED ALWAYS AS IDENTITY,
    shard smallint NOT NULL,
    event_id uuid NOT NULL,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    destination text NOT NULL,
    type text NOT NULL,
    key text NOT NULL,
    aggregate_type text,
    aggregate_id text,
    payload text NOT NULL,
    headers text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (shard, id)
  ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 0)`,
  `CREATE INDEX saga_outbox_xid ON ${t.outbox} (xid)`,
  `CREATE TABLE ${t.shard} (
    shard smallint PRIMARY KEY,
    owner text,
    epoch bigint NOT NULL DEFAULT 0,
    suspect integer NOT NULL DEFAULT 0
  ) WITH (fillfactor = 10)`,
  `INSERT INTO ${t.shard} (shard) SELECT generate_series(0, ${SHARD_COUNT - 1})`,
];

export const initial: Migration = {
  version: 1,
  name: 'initial',
  breaking: false,
  sql: (tables) => [...sagas(tables), ...outbox(tables)],
};
