import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  cpSync,
  mkdtempSync,
  openSync,
  closeSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import {
  findBinaries,
  serverAccount,
  type ServerAccount,
} from '../../support/services/postgres-binaries.mjs';
import { until } from '../../support/until.js';

/** A PostgreSQL server of one suite's own, which it may crash, restart and promote. Durable, as in production. */
export class Cluster {
  private server: ChildProcess | undefined;

  private constructor(
    private readonly folder: string,
    readonly port: number,
    private readonly settings: readonly string[],
  ) {}

  static async create(settings: readonly string[] = []): Promise<Cluster> {
    const account = serverAccount();
    const folder = newFolder(account);
    const { initdb } = await findBinaries(account);
    const flags = ['-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C'];
    execFileSync(initdb, ['-D', join(folder, 'data'), ...flags], {
      ...account,
      cwd: folder,
      stdio: 'ignore',
    });
    const cluster = new Cluster(folder, await freePort(), settings);
    await cluster.start();
    return cluster;
  }

  get url(): string {
    return `postgres://postgres@127.0.0.1:${this.port}/postgres`;
  }

  /** A standby that streams from this server, made of a copy of it. */
  async standby(): Promise<Cluster> {
    await this.stop('SIGINT');
    const account = serverAccount();
    const folder = newFolder(account);
    cpSync(join(this.folder, 'data'), join(folder, 'data'), { recursive: true });
    const data = join(folder, 'data');
    writeFileSync(join(data, 'standby.signal'), '');
    appendFileSync(
      join(data, 'postgresql.auto.conf'),
      `primary_conninfo = 'host=127.0.0.1 port=${this.port} user=postgres'\n`,
    );
    own(folder, account);
    await this.start();
    const standby = new Cluster(folder, await freePort(), this.settings);
    await standby.start();
    await until(async () => (await this.query('SELECT 1 FROM pg_stat_replication')).length > 0);
    return standby;
  }

  async start(): Promise<void> {
    const account = serverAccount();
    const { postgres } = await findBinaries(account);
    const settings = [
      `port=${this.port}`,
      'listen_addresses=127.0.0.1',
      'unix_socket_directories=',
      'max_connections=200',
      ...this.settings,
    ];
    const log = openSync(join(this.folder, 'log'), 'a');
    this.server = spawn(
      postgres,
      ['-D', join(this.folder, 'data'), ...settings.flatMap((it) => ['-c', it])],
      {
        ...{ ...account, cwd: this.folder, stdio: ['ignore', log, log] },
      },
    );
    closeSync(log);
    process.once('exit', this.killAtExit);
    await until(() => this.answers());
  }

  /** @param signal SIGINT: fast; SIGQUIT: immediate, as a crash */
  async stop(signal: 'SIGINT' | 'SIGQUIT'): Promise<void> {
    const { server } = this;
    if (!server || server.exitCode !== null || server.signalCode !== null) return;
    const ended = once(server, 'exit');
    server.kill(signal);
    await ended;
    process.off('exit', this.killAtExit);
  }

  async query<T extends pg.QueryResultRow>(text: string): Promise<T[]> {
    const client = new pg.Client(this.url);
    client.on('error', () => undefined);
    await client.connect();
    try {
      return (await client.query<T>(text)).rows;
    } finally {
      await client.end();
    }
  }

  /** Ends the server and removes its data. */
  async drop(): Promise<void> {
    await this.stop('SIGQUIT');
    rmSync(this.folder, { recursive: true, force: true });
  }

  private readonly killAtExit = () => void this.server?.kill('SIGQUIT');

  private async answers(): Promise<boolean> {
    if (this.server?.exitCode !== null)
      throw new Error(readFileSync(join(this.folder, 'log'), 'utf8').slice(-2_000));
    return this.query('SELECT 1').then(
      () => true,
      () => false,
    );
  }
}

function newFolder(account: ServerAccount): string {
  const folder = mkdtempSync(join(tmpdir(), 'nestjs-sagaz-cluster-'));
  own(folder, account);
  return folder;
}

function own(folder: string, { uid, gid }: ServerAccount): void {
  chmodSync(folder, 0o711);
  if (uid === undefined || gid === undefined) return;
  chownSync(folder, uid, gid);
  execFileSync('chown', ['-R', `${uid}:${gid}`, folder]);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
