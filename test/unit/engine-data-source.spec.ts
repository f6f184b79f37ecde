import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { DataSource } from 'typeorm';
import { engineDataSource, openEngine } from '../../lib/persistence/typeorm/engine-data-source.js';

describe("the engine's connections", () => {
  it('give up on a server that takes the connection and says nothing', async () => {
    const sockets: Socket[] = [];
    const server = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const application = new DataSource({
      ...{ type: 'postgres', host: '127.0.0.1', port, connectTimeoutMS: 200 },
    });
    await expect(openEngine(engineDataSource(application))).rejects.toThrow('timeout');
    for (const socket of sockets) socket.destroy();
    server.close();
  });

  it('do so after ten seconds where the application has no limit', () => {
    const application = new DataSource({ type: 'postgres' });
    expect(engineDataSource(application).options).toMatchObject({ connectTimeoutMS: 10_000 });
  });
});
