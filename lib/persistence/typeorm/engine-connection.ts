import type { DataSource, QueryRunner } from 'typeorm';
import type { PoolClient, QueryResult } from 'pg';
import { isRefusal } from './sql-state.js';
import { destroyConnection } from './handler-transaction.js';

/** A statement of our own. The name lets the server plan it once per connection. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

export interface EngineConnectionOptions {
  readonly engine: DataSource;
  /** False where a pooler hands out another connection for each statement: there a name means nothing. */
  readonly named: () => boolean;
  /** Limit of one statement. Default: that of the engine's pool. */
  readonly timeoutMs?: number;
  /** Called on each new connection, before anything else. */
  readonly opened?: (query: EngineConnection['query']) => Promise<void>;
  /** Called when the server notifies this connection. */
  readonly notified?: () => void;
  /** Called when an open connection is lost, unless `close` did it. */
  readonly lost?: () => void;
}

/**
 * One connection of the engine that is kept for one purpose, so that it never waits behind others. It is opened when it
 * is needed, and anew after it was lost.
 */
export class EngineConnection {
  private opening: Promise<PoolClient> | undefined;
  private client: PoolClient | undefined;
  private runner: QueryRunner | undefined;
  private closed = false;

  constructor(private readonly options: EngineConnectionOptions) {}

  /** @throws what the server answers; any other error means that the connection is lost and the outcome unknown */
  readonly query = <T>(statement: Statement, values: readonly unknown[]): Promise<readonly T[]> => {
    if (this.client) return this.on(this.client, statement, values);
    this.opening ??= this.open();
    return this.opening.then((client) => this.on(client, statement, values));
  };

  /** Opens the connection when it is not open. */
  async ready(): Promise<void> {
    if (this.client) return;
    this.opening ??= this.open();
    await this.opening;
  }

  /** For good. One that is being opened is closed as soon as it is open: the pool waits for it. */
  async close(): Promise<void> {
    this.closed = true;
    await this.opening?.catch(() => undefined);
    const { runner } = this;
    this.forget();
    if (runner && !runner.isReleased) await destroyConnection(runner);
  }

  private async open(): Promise<PoolClient> {
    const runner = this.options.engine.createQueryRunner('master');
    this.runner = runner;
    try {
      const client = (await runner.connect()) as PoolClient;
      if (this.closed) throw new Error('the connection to the database is closed');
      client.once('error', () => this.drop(runner));
      client.once('end', () => this.drop(runner));
      const { notified } = this.options;
      if (notified) client.on('notification', notified);
      await this.options.opened?.((statement, values) => this.on(client, statement, values));
      this.client = client;
      return client;
    } catch (error) {
      this.drop(runner);
      throw error;
    }
  }

  private async on<T>(
    client: PoolClient,
    { name, text }: Statement,
    values: readonly unknown[],
  ): Promise<readonly T[]> {
    const { runner } = this;
    try {
      const { timeoutMs } = this.options;
      const config = { text, values: [...values], ...(this.options.named() && { name }) };
      const limited = timeoutMs === undefined ? config : { ...config, query_timeout: timeoutMs };
      const result: QueryResult = await client.query(limited);
      return result.rows as T[];
    } catch (error) {
      if (!isRefusal(error) && runner) this.drop(runner);
      throw error;
    }
  }

  /** The connection is of no use any more; the next query opens another one. */
  private drop(runner: QueryRunner): void {
    if (this.runner !== runner) return;
    const wasOpen = this.client !== undefined;
    this.forget();
    if (!runner.isReleased) destroyConnection(runner).catch(() => undefined);
    if (wasOpen) this.options.lost?.();
  }

  private forget(): void {
    this.runner = undefined;
    this.client = undefined;
    this.opening = undefined;
  }
}
