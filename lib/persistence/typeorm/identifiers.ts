/** Names of our tables, quoted, with their schema: the only texts that are put into SQL. */
export interface Tables {
  readonly schema: string;
  readonly instance: string;
  readonly payload: string;
  readonly journal: string;
  readonly key: string;
  readonly signal: string;
  readonly definition: string;
  readonly worker: string;
  /** A sequence. */
  readonly lockNumber: string;
  readonly outbox: string;
  readonly shard: string;
  readonly retry: string;
  readonly deadLetter: string;
  /** Partitioned. */
  readonly sent: string;
  readonly sentLeaf: (leaf: number) => string;
  readonly inbox: string;
  readonly inboxFailure: string;
  readonly barrier: string;
  readonly audit: string;
  readonly migration: string;
}

const IDENTIFIER = /^[a-zA-Z_][a-zA-Z0-9_]{0,62}$/;

export function isIdentifier(name: string): boolean {
  return IDENTIFIER.test(name);
}

/** @throws TypeError when the schema is no plain identifier */
export function tablesOf(schema: string): Tables {
  if (!isIdentifier(schema))
    throw new TypeError(`"${schema}" is no name of a schema: letters, digits and _ only`);
  const table = (name: string) => `"${schema}"."${name}"`;
  return {
    schema,
    instance: table('saga_instance'),
    payload: table('saga_payload'),
    journal: table('saga_journal'),
    key: table('saga_key'),
    signal: table('saga_signal'),
    definition: table('saga_definition'),
    worker: table('saga_worker'),
    lockNumber: table('saga_lock_number'),
    outbox: table('saga_outbox'),
    shard: table('saga_outbox_shard'),
    retry: table('saga_outbox_retry'),
    deadLetter: table('saga_outbox_dead_letter'),
    sent: table('saga_outbox_sent'),
    sentLeaf: (leaf) => table(`saga_outbox_sent_${leaf}`),
    inbox: table('consumer_inbox'),
    inboxFailure: table('consumer_inbox_failure'),
    barrier: table('saga_barrier'),
    audit: table('saga_audit'),
    migration: table('saga_migration'),
  };
}
