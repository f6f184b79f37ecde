/** How one connection is made and ended. */
export interface LinkMaker<T> {
  open(): Promise<T>;
  /** Never rejects, and does not take long. */
  end(connection: T): Promise<void>;
}

/**
 * The connection of a broker, made when somebody needs it. Pauses between attempts are the relay's: it leaves a broker that
 * is down alone, longer after each failure.
 */
export class Link<T> {
  private opening: Promise<T> | undefined;
  private current: T | undefined;
  private closed = false;

  constructor(private readonly maker: LinkMaker<T>) {}

  /** The open connection, else a new one; who asks meanwhile gets the same. */
  get(): Promise<T> {
    if (this.current !== undefined) return Promise.resolve(this.current);
    if (this.closed) return Promise.reject(new Error('the broker was closed'));
    this.opening ??= this.open().finally(() => (this.opening = undefined));
    return this.opening;
  }

  /** This connection is not to be used any more. */
  drop(connection: T): void {
    if (this.current !== connection) return;
    this.current = undefined;
    void this.maker.end(connection);
  }

  async close(): Promise<void> {
    this.closed = true;
    await this.opening?.catch(() => undefined);
    const last = this.current;
    this.current = undefined;
    if (last !== undefined) await this.maker.end(last);
  }

  private async open(): Promise<T> {
    const connection = await this.maker.open();
    this.current = connection;
    return connection;
  }
}
