import { execFile, fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Load } from './load.js';

const FOLDER = join('test', 'bench');

/** Installs what the library is compared with, when it is not there. */
export async function installPeers(tell: (text: string) => void): Promise<void> {
  const there = await access(join(FOLDER, 'node_modules', '@dbos-inc', 'dbos-sdk')).then(
    () => true,
    () => false,
  );
  if (there) return;
  tell('installing the peers into test/bench/node_modules');
  await promisify(execFile)('npm', ['ci', '--no-audit', '--no-fund'], { cwd: FOLDER });
}

/** A peer in a process of its own. */
export class Peer {
  private constructor(private readonly child: ChildProcess) {}

  static async start(program: string, args: readonly string[]): Promise<Peer> {
    const child = fork(join(FOLDER, 'peers', program), args, {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(() => {
        throw new Error(`${program} did not start`);
      }),
    ]);
    return new Peer(child);
  }

  async rate(load: Load): Promise<number> {
    this.child.send(load);
    const [{ rate }] = (await once(this.child, 'message')) as [{ rate: number }];
    return rate;
  }

  async close(): Promise<void> {
    const ended = once(this.child, 'exit');
    this.child.disconnect();
    await ended;
  }
}
