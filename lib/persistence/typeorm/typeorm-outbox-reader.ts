import type { OutboxReader, PendingEvent, ReadBatch, ReadRequest } from '../../outbox/outbox-storage.js';
import { EngineConnection, type EngineConnectionOptions, type Statement } from './engine-connection.js';
import type { Tables } from './identifiers.js';
import { readSql } from './sql/outbox-sql.js';

interface Row {
  readonly id: string | null;
  readonly shard: number;
  readonly event_id: string;
  readonly destination: string;
  readonly type: string;
  readonly key: string;
  readonly aggregate_type: string | null;
  readonly aggregate_id: string | null;
  readonly payload: string;
  readonly headers: string;
  readonly created_at: Date;
  readonly snapshot: string;
}

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

  async read({ positions, previous, limit }: ReadRequest): Promise<ReadBatch> {
    if (this.lost) throw new Error('the connection on which the outbox was read is lost');
    const shards = [...positions.keys()];
    const from = [...positions.values()].map(String);
    const parameters = [shards, from, previous?.inProgress ?? [], previous?.xmax ?? NO_XID, limit];
    const rows = await this.connection.query<Row>(this.statement, parameters);
    const [, xmax = '', inProgress = ''] = (rows[0]?.snapshot ?? '').split(':');
    return {
      events: rows.flatMap((row) => (row.id === null ? [] : [toEvent(row, row.id)])),
      snapshot: { xmax, inProgress: inProgress === '' ? [] : inProgress.split(',') },
    };
  }

  close(): Promise<void> {
    return this.connection.close();
  }
}

function toEvent(row: Row, id: string): PendingEvent {
  return {
    id: BigInt(id),
    shard: row.shard,
    eventId: row.event_id,
    destination: row.destination,
    type: row.type,
    key: row.key,
    aggregateType: row.aggregate_type,
    aggregateId: row.aggregate_id,
    payload: row.payload,
    headers: row.headers,
    createdAt: row.created_at,
  };
}
