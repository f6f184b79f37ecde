import type { DataSource } from 'typeorm';
import type { PendingEvent } from '../../outbox/outbox-storage.js';
import { SuspectStorage, type SuspectShard } from '../../outbox/suspect-storage.js';
import type { Tables } from './identifiers.js';
import * as sql from './sql/suspect-sql.js';

interface Settings {
  readonly engine: DataSource;
  readonly tables: Tables;
}

/** On the rows of the shards, which their owner has anyway. */
export class TypeOrmSuspectStorage extends SuspectStorage {
  constructor(private readonly settings: Settings) {
    super();
  }

  suspects(workerId: string): Promise<readonly SuspectShard[]> {
    const { engine, tables } = this.settings;
    return engine.query<SuspectShard[]>(sql.suspectsSql(tables), [workerId]);
  }

  async accuse(workerId: string, shards: readonly number[]): Promise<void> {
    const { engine, tables } = this.settings;
    await engine.query(sql.accuseSql(tables), [workerId, shards]);
  }

  async accuseAlone(workerId: string, { shard, id }: PendingEvent): Promise<number> {
    const { engine, tables } = this.settings;
    const parameters = [workerId, shard, String(id)];
    const [[row] = []] = await engine.query<{ times: number }[][]>(sql.accuseAloneSql(tables), parameters);
    return row?.times ?? 1;
  }

  async acquit(workerId: string, shards: readonly number[]): Promise<void> {
    const { engine, tables } = this.settings;
    await engine.query(sql.acquitSql(tables), [workerId, shards]);
  }
}
