import type { OutboxReader, PendingEvent, ReadBatch, ReadRequest } from '../../outbox/outbox-storage.js';
import { EngineConnection, type EngineConnectionOptions, type Statement } from './engine-connection.js';
import type { Tables } from './identifiers.js';
import { readSql } from './sql/outbox-sql.js';

/** An event whose id is still a text, or the snapshot in which they were read. */
type Row =
  | (Omit<PendingEvent, 'id'> & { id: string | bigint; readonly snapshot: null })
  | { readonly id: null; readonly snapshot: string };

/** Above every transaction id: on the first read nothing is late. */
const NO_XID = '18446744073709551615';

/** Reads on a connection of its own; once that is lost it is of no use any more, because its snapshot is not. */
export class TypeOrmOutboxReader implements OutboxReader {
  private readonly statement: Statement;
  private readonly connection: EngineConnection;
  private lost = false;

  constructor(options: EngineConnectionOptions, tables: Tables) {
    this.statement = { name: 'sagaz_read', text: readSql(tables) };
    this.connection = new EngineConnection({ ...options, lost: () => void (this.lost = true) });
  }

  async read({ positions, previous, limits }: ReadRequest): Promise<ReadBatch> {
    if (this.lost) throw new Error('the connection on which the outbox was read is lost');
    const shards = [...positions.keys()];
    const from = [...positions.values()].map(String);
    const most = shards.map((shard) => limits.get(shard) ?? 0);
    const parameters = [shards, from, previous?.inProgress ?? [], previous?.xmax ?? NO_XID, most];
    const rows = await this.connection.query<Row>(this.statement, parameters);
    const events: PendingEvent[] = [];
    let snapshot = '';
    for (const row of rows)
      if (row.id === null) snapshot = row.snapshot;
      else events.push(withId(row));
    const [, xmax = '', inProgress = ''] = snapshot.split(':');
    return { events, snapshot: { xmax, inProgress: inProgress === '' ? [] : inProgress.split(',') } };
  }

  close(): Promise<void> {
    return this.connection.close();
  }
}

/** The row itself: a thousand at once are not copied. */
function withId(row: Exclude<Row, { id: null }>): PendingEvent {
  row.id = BigInt(row.id);
  return row as PendingEvent;
}
