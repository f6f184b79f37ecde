import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** Stands between a client and its server on this machine, and does what networks do. */
export class TcpProxy {
  private readonly clients = new Set<Socket>();
  /** What the server says does not reach the client any more. */
  mute = false;

  private constructor(
    private readonly server: Server,
    private readonly target: number,
  ) {
    server.on('connection', (client) => this.accept(client));
  }

  static async to(port: number): Promise<TcpProxy> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new TcpProxy(server, port);
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** How many connections there are now. */
  get connections(): number {
    return this.clients.size;
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
    client.pipe(upstream);
    upstream.on('data', (chunk) => {
      if (!this.mute) client.write(chunk);
    });
    client.on('error', () => undefined);
    upstream.on('error', () => undefined);
    client.on('close', () => {
      this.clients.delete(client);
      upstream.destroy();
    });
    upstream.on('close', () => client.destroy());
  }
}
