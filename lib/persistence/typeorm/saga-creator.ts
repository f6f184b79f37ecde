import type { DataSource, QueryRunner } from 'typeorm';
import type { Clock } from '../../runtime/clock.js';
import type { DebugProbe } from '../../runtime/debug-points.js';
import type { CreatedSaga, NewSaga } from '../../saga/saga-storage.js';
import { GroupCommit, type Answer } from './group-commit.js';
import type { Tables } from './identifiers.js';
import type { JournalWriter } from './journal-writer.js';
import { takenKeysSql } from './sql/saga-sql.js';
import { sagaBytes, WriteStatements } from './write-batch.js';

export interface SagaCreatorSettings {
  readonly engine: DataSource;
  readonly tables: Tables;
  readonly clock: Clock;
  readonly reach: DebugProbe;
  readonly writer: JournalWriter;
}

interface TakenKey {
  readonly name: string;
  readonly key: string;
  readonly inputHash: string;
  readonly sagaId: string;
}

type Query = (text: string, values: unknown[]) => Promise<unknown>;

/**
 * Creates sagas. One without an idempotency key goes with the next flush of the journal. Those with keys have flushes of
 * their own: a key that an open transaction is taking is waited for, and the journal must not wait for it.
 */
export class SagaCreator {
  private readonly keyed: GroupCommit<NewSaga, CreatedSaga>;
  private readonly statements: WriteStatements;

  constructor(private readonly settings: SagaCreatorSettings) {
    this.statements = new WriteStatements(settings.tables);
    this.keyed = new GroupCommit({
      flush: (sagas) => this.flush(sagas),
      weigh: (saga) => ({ rows: 1, bytes: sagaBytes(saga) }),
      subjectOf: (saga) => subjectOf(saga.name, saga.idempotencyKey ?? ''),
      clock: settings.clock,
    });
  }

  create(saga: NewSaga): Promise<CreatedSaga> {
    const { sagaId, idempotencyKey } = saga;
    if (idempotencyKey !== undefined) return this.keyed.add(saga);
    return this.settings.writer.create(saga).then(() => ({ outcome: 'created', sagaId }));
  }

  /** In the caller's transaction, which waits for others that take the same key. */
  async createIn(runner: QueryRunner, saga: NewSaga): Promise<CreatedSaga> {
    const [answer] = await this.store((text, values) => runner.query(text, values), [saga], true);
    if (answer && answer !== 'busy' && 'value' in answer) return answer.value;
    // Only the caller's older snapshot can hide the key: then it cannot be said whether the input is the same.
    return { outcome: 'conflict', sagaId: 'unknown' };
  }

  close(): void {
    this.keyed.close();
  }

  private flush(sagas: readonly NewSaga[]): Promise<readonly Answer<CreatedSaga>[]> {
    const { engine } = this.settings;
    return this.store((text, values) => engine.query(text, values), sagas, false);
  }

  private async store(
    query: Query,
    sagas: readonly NewSaga[],
    waits: boolean,
  ): Promise<readonly Answer<CreatedSaga>[]> {
    const { reach, tables } = this.settings;
    const batch = { sagas, writes: [] };
    const { statement, values } = this.statements.of(batch, waits);
    reach('create.sending');
    const sent = query(statement.text, [...values]);
    reach('create.sent');
    const created = new Set(((await sent) as { id: string }[]).map(({ id }) => id));
    reach('create.stored');
    const keyed = sagas.filter(
      ({ sagaId, idempotencyKey }) => idempotencyKey !== undefined && !created.has(sagaId),
    );
    const keys = keyed.map(({ idempotencyKey }) => idempotencyKey);
    const taken =
      keyed.length === 0
        ? []
        : ((await query(takenKeysSql(tables), [keyed.map(({ name }) => name), keys])) as TakenKey[]);
    const byKey = new Map(taken.map((row) => [subjectOf(row.name, row.key), row]));
    return sagas.map((saga) => {
      const { sagaId, name, idempotencyKey } = saga;
      if (idempotencyKey === undefined || created.has(sagaId))
        return { value: { outcome: 'created', sagaId } };
      const row = byKey.get(subjectOf(name, idempotencyKey));
      return row ? { value: answerOf(saga, row) } : 'busy';
    });
  }
}

/** The key may be its own: the reply to the statement that took it was lost. */
function answerOf(saga: NewSaga, { sagaId, inputHash }: TakenKey): CreatedSaga {
  if (sagaId === saga.sagaId) return { outcome: 'created', sagaId };
  return { outcome: inputHash === saga.inputHash ? 'existing' : 'conflict', sagaId };
}

function subjectOf(name: string, key: string): string {
  return JSON.stringify([name, key]);
}
