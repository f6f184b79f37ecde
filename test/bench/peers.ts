import { execFile, fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Load } from './load.js';

const FOLDER = join('test', 'bench');

/** Installs what the library is compared with, when it is not there, and tells its versions. */
export async function installPeers(tell: (text: string) => void): Promise<void> {
  const { dependencies } = JSON.parse(await readFile(join(FOLDER, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  for (const [name, version] of Object.entries(dependencies)) tell(`${name.padEnd(13)} ${version}`);
  const installed = Object.keys(dependencies).map((name) => access(join(FOLDER, 'node_modules', name)));
  if ((await Promise.allSettled(installed)).every(({ status }) => status === 'fulfilled')) return;
  tell('installing the peers into test/bench/node_modules');
  await promisify(execFile)('npm', ['ci', '--no-audit', '--no-fund'], { cwd: FOLDER });
}

/** A peer in a process of its own. */
export class Peer {
  private constructor(
    private readonly child: ChildProcess,
    private readonly program: string,
  ) {}

  /** @param program in the folder of the peers, or a path from the root */
  static async start(program: string, args: readonly string[]): Promise<Peer> {
    const file = program.includes('/') ? program : join(FOLDER, 'peers', program);
    const child = fork(file, args, {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    await answerOf(child, program);
    return new Peer(child, program);
  }

  /** @throws Error when the peer's process ends instead of answering */
  async rate(load: Load | { readonly events: number }): Promise<number> {
    return (await this.ask<{ rate: number }>(load)).rate;
  }

  /** @throws Error when the peer's process ends instead of answering */
  async ask<T>(request: object): Promise<T> {
    this.child.send(request);
    const [answer] = (await answerOf(this.child, this.program)) as [T];
    return answer;
  }

  async close(): Promise<void> {
    if (!this.child.connected) return;
    const ended = once(this.child, 'exit');
    this.child.disconnect();
    await ended;
  }
}

async function answerOf(child: ChildProcess, program: string): Promise<unknown[]> {
  const answered = new AbortController();
  const { signal } = answered;
  try {
    return await Promise.race([
      once(child, 'message', { signal }),
      once(child, 'exit', { signal }).then(([code]) => {
        throw new Error(`${program} ended with code ${String(code)} instead of answering`);
      }),
    ]);
  } finally {
    answered.abort();
  }
}
