import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** `COMMIT` as the driver sends it: a simple query. */
const COMMIT = Buffer.from('COMMIT\0');

/** Stands between processes and their PostgreSQL, and does what networks do. */
export class Proxy {
  private readonly clients = new Set<Socket>();
  private drops = 0;
  /** How many replies to COMMIT never reached the one who had sent it. */
  dropped = 0;

  private constructor(
    private readonly server: Server,
    /** Where new connections go. */
    public target: number,
  ) {
    server.on('connection', (client) => this.accept(client));
  }

  static async to(port: number): Promise<Proxy> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Proxy(server, port);
  }

  url(database: string): string {
    return `postgres://postgres@127.0.0.1:${(this.server.address() as AddressInfo).port}/${database}`;
  }

  /** Of the next so many COMMITs the client's connection is cut when they have been sent on. */
  dropCommitReplies(count: number): void {
    this.drops = count;
  }

  /** Cuts every connection. */
  cut(): void {
    for (const client of this.clients) client.destroy();
  }

  async close(): Promise<void> {
    this.server.close();
    this.cut();
    await once(this.server, 'close');
  }

  private accept(client: Socket): void {
    const upstream = connect(this.target, '127.0.0.1');
    this.clients.add(client);
    let deaf = false;
    client.on('data', (chunk) => {
      upstream.write(chunk);
      if (this.drops === 0 || !chunk.includes(COMMIT)) return;
      this.drops -= 1;
      this.dropped += 1;
      deaf = true;
      client.destroy();
    });
    upstream.on('data', (chunk) => {
      if (!deaf) client.write(chunk);
    });
    client.on('error', () => undefined);
    upstream.on('error', () => client.destroy());
    client.on('close', () => {
      this.clients.delete(client);
      // The server does not learn that nobody hears it any more.
      if (!deaf) upstream.destroy();
    });
    upstream.on('close', () => client.destroy());
  }
}
