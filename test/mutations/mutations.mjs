const WRITE_SQL = 'lib/persistence/typeorm/sql/write-sql.ts';
const SAGA_SQL = 'lib/persistence/typeorm/sql/saga-sql.ts';
const WORKER_SQL = 'lib/persistence/typeorm/sql/worker-sql.ts';
const CONFORMANCE = 'test/conformance/typeorm.spec.ts';

/**
 * What must not be missing: a place in a file, what becomes of it, and the suite that has to notice. A place stands in its
 * file exactly once, or `all` of them are changed.
 */
export const MUTATIONS = [
  {
    name: 'a flush fenced by the saga without its epoch',
    file: WRITE_SQL,
    from: 'JOIN locked l ON l.id = w.id AND l.epoch = w.epoch',
    to: 'JOIN locked l ON l.id = w.id',
    suite: 'test/integration/group-commit.spec.ts',
  },
  {
    name: 'one entry fenced by the saga without its epoch',
    file: WRITE_SQL,
    from: 'WHERE id = $1 AND epoch = $2 FOR NO KEY UPDATE',
    to: 'WHERE id = $1 AND $2::bigint > 0 FOR NO KEY UPDATE',
    suite: CONFORMANCE,
  },
  {
    name: 'a flush that waits for locked rows',
    file: WRITE_SQL,
    from: "shape.waits ? '' : ' SKIP LOCKED'",
    to: "''",
    suite: 'test/integration/group-commit.spec.ts',
  },
  {
    name: 'no ON CONFLICT in the journal',
    file: WRITE_SQL,
    from: 'ON CONFLICT (saga_id, seq) DO NOTHING RETURNING',
    to: 'RETURNING',
    all: true,
    suite: CONFORMANCE,
  },
  {
    name: 'a cancel that the completion does not see',
    file: WRITE_SQL,
    from: "NOT (l.cancelled AND (w.pivot IS TRUE OR w.status IS NOT DISTINCT FROM 'completed'))",
    to: 'true',
    suite: CONFORMANCE,
  },
  {
    name: 'a saga parked without a look at signal_seq',
    file: WRITE_SQL,
    from: 'AND (w.seen IS NULL OR w.seen = l.signal_seq) AS allowed',
    to: 'AS allowed',
    suite: 'test/integration/signals.spec.ts',
  },
  {
    name: 'a signal that does not wake its saga',
    file: SAGA_SQL,
    from: "wake_at = CASE WHEN status = 'waiting' AND epoch > 0 THEN clock_timestamp() ELSE wake_at END\n  WHERE id IN",
    to: 'wake_at = wake_at\n  WHERE id IN',
    suite: 'test/integration/signals.spec.ts',
  },
  {
    name: 'an event that is moved by a worker that has lost its shard',
    file: 'lib/persistence/typeorm/sql/retry-sql.ts',
    from: 'AND o.id = k.id AND o.shard IN (SELECT shard FROM owned) RETURNING',
    to: 'AND o.id = k.id RETURNING',
    suite: 'test/integration/relay.spec.ts',
  },
  {
    name: 'late events that are not looked for',
    file: 'lib/persistence/typeorm/sql/outbox-sql.ts',
    from: 'WHERE o.xid = ANY($3::xid8[]) AND o.shard',
    to: 'WHERE o.xid = ANY($3::xid8[]) AND false AND o.shard',
    suite: 'test/integration/outbox-pitfalls.spec.ts',
  },
  {
    name: 'a claim that waits for locked rows',
    file: SAGA_SQL,
    from: 'FOR NO KEY UPDATE OF i SKIP LOCKED',
    to: 'FOR NO KEY UPDATE OF i',
    suite: 'test/integration/takeover.spec.ts',
  },
  {
    name: 'a claim that does not look at the epoch again',
    file: SAGA_SQL,
    from: 'ON i.id = c.id AND i.epoch = c.epoch',
    to: 'ON i.id = c.id',
    suite: CONFORMANCE,
  },
  {
    name: 'a free lock that proves a death also after a restart of the server',
    file: WORKER_SQL,
    from: 'postmaster_start = pg_postmaster_start_time()',
    to: 'true',
    all: true,
    suite: 'test/integration/workers.spec.ts',
  },
  {
    name: 'a death that is declared at the first look',
    file: 'lib/persistence/typeorm/typeorm-worker-storage.ts',
    from: 'return [...this.missing].filter((id) => before.has(id));',
    to: 'return before.size < 0 ? [] : [...this.missing];',
    suite: 'test/integration/workers.spec.ts',
  },
  {
    name: 'a worker that comes back from the dead',
    file: WORKER_SQL,
    from: 'WHERE NOT w.dead\n',
    to: '',
    suite: 'test/integration/workers.spec.ts',
  },
  {
    name: 'an undo that ignores a late result',
    file: 'lib/saga/execution/saga-fold.ts',
    from: 'if (seen < step.lates)',
    to: 'if (seen < 0)',
    suite: 'test/unit/saga',
  },
  {
    name: 'a fenced success that nobody hears of',
    file: 'lib/saga/execution/step-attempt.ts',
    from: 'if (isAction) host.lateResult',
    to: 'if (isAction && false) host.lateResult',
    suite: 'test/unit/saga/takeover.spec.ts',
  },
  {
    name: 'a lease that runs out unnoticed',
    file: 'lib/saga/recovery/worker-lease.ts',
    from: 'if (this.remainingMs() > 0) return;',
    to: 'return;',
    suite: 'test/unit/saga/takeover.spec.ts',
  },
  {
    name: 'deaths that do not count',
    file: 'lib/saga/execution/suspicion.ts',
    from: 'return wasActive ? before + 1 : before;',
    to: 'return wasActive ? before : before;',
    suite: 'test/unit/saga/suspicion.spec.ts',
  },
  {
    name: 'steps that start before their launch is durable',
    file: 'lib/saga/execution/saga-journal.ts',
    from: '    const { cancelRequested, stored, ended } = await this.store(change, store);',
    to: '    this.owner.written({ entries: [], facts, before: this.current, launch: change.launch, end: undefined, times: undefined, hasEvents: false });\n    const { cancelRequested, stored, ended } = await this.store(change, store);',
    suite: 'test/unit/saga',
  },
  {
    name: 'RabbitMQ messages that are not mandatory',
    file: 'lib/brokers/rabbitmq/rabbitmq-message.ts',
    from: 'mandatory: true,',
    to: 'mandatory: false,',
    suite: 'test/integration/brokers/rabbitmq.spec.ts',
  },
  {
    name: 'a Kafka producer that goes on after a send without an answer',
    file: 'lib/brokers/kafka/kafka-broker.ts',
    from: 'cannot be confused with it.\n        this.link.drop(session);',
    to: 'cannot be confused with it.',
    suite: 'test/integration/brokers/kafka.spec.ts',
  },
];
