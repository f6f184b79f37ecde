import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { connect } from 'amqplib';
import { until } from '../until.js';
import { freePort } from './free-port.js';

/** A RabbitMQ of one's own, which may be starved, killed and started again. Its data stay until it is removed. */
export class RabbitMqNode {
  private child: ChildProcess | undefined;

  private constructor(
    readonly port: number,
    private readonly folder: string,
    private readonly environment: NodeJS.ProcessEnv,
  ) {}

  static async start(): Promise<RabbitMqNode> {
    const folder = mkdtempSync(join(tmpdir(), 'nestjs-sagaz-rabbitmq-'));
    const { uid, gid } = account();
    if (uid !== undefined && gid !== undefined) chownSync(folder, uid, gid);
    const [port, distribution] = [await freePort(), await freePort()];
    const node = new RabbitMqNode(port, folder, {
      ...{ PATH: process.env['PATH'], HOME: folder, ERL_EPMD_ADDRESS: '127.0.0.1' },
      RABBITMQ_NODENAME: `sagaz${port}@localhost`,
      RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
      RABBITMQ_NODE_PORT: String(port),
      RABBITMQ_DIST_PORT: String(distribution),
      RABBITMQ_MNESIA_BASE: join(folder, 'data'),
      RABBITMQ_LOGS: '-',
      RABBITMQ_PID_FILE: join(folder, 'pid'),
      RABBITMQ_CONFIG_FILE: join(folder, 'none'),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'plugins'),
      // The numbers of messages in quorum queues are as old as their tick, 5 s by default.
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS:
        '-kernel inet_dist_use_interface {127,0,0,1} -rabbit quorum_tick_interval 100',
    });
    await node.up();
    return node;
  }

  get url(): string {
    return `amqp://guest:guest@127.0.0.1:${this.port}`;
  }

  /** Starts it, also after it was killed. */
  async up(): Promise<void> {
    this.child = spawn(program('rabbitmq-server'), [], {
      ...{ ...account(), cwd: this.folder, env: this.environment, stdio: 'ignore', detached: true },
    });
    await until(() => answers(this.url), 60_000);
  }

  /** kill -9. */
  async kill(): Promise<void> {
    const { child } = this;
    if (child?.pid === undefined || child.exitCode !== null) return;
    const ended = once(child, 'exit');
    process.kill(-child.pid, 'SIGKILL');
    await ended;
  }

  /**
   * Puts the names of its quorum queues on disk, which it does at its leisure: one that was made within 1 s of a crash comes
   * back empty and without a leader (https://github.com/rabbitmq/rabbitmq-server/issues/15725).
   */
  async keepQueues(): Promise<void> {
    await this.control('eval', 'lists:foreach(fun dets:sync/1, dets:all()).');
  }

  /** Runs a command of its administrator. */
  async control(...args: string[]): Promise<string> {
    const options = { ...account(), env: this.environment, cwd: this.folder };
    const { stdout } = await promisify(execFile)(program('rabbitmqctl'), ['--quiet', ...args], options);
    return stdout;
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Found by the set-up of the tests. */
function program(name: string): string {
  return join(dirname(process.env['RABBITMQ_SERVER'] ?? ''), name);
}

/** Not as root, which would leave files that the system's own node cannot read. */
function account(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const id = (flag: string) => Number(execFileSync('id', [flag, 'rabbitmq'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

async function answers(url: string): Promise<boolean> {
  try {
    await (await connect(url)).close();
    return true;
  } catch {
    return false;
  }
}
