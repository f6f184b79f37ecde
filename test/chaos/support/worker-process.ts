import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { ChaosInput } from './sagas.js';

export type ToWorker =
  | { readonly kind: 'counts' }
  | {
      readonly kind: 'execute';
      readonly id: string;
      readonly shape: string;
      readonly input: ChaosInput;
      readonly key?: string;
    };

export type FromWorker =
  | { readonly kind: 'ready' }
  | { readonly kind: 'ended'; readonly id: string; readonly sagaId: string; readonly status: string }
  | { readonly kind: 'failed'; readonly id: string; readonly message: string }
  | { readonly kind: 'counts'; readonly counts: Readonly<Record<string, number>> };

export interface WorkerOptions {
  readonly url: string;
  readonly ledgerUrl: string;
  /** Default: the one that runs sagas. */
  readonly program?: 'worker' | 'relay-worker' | 'drain-worker' | 'taker-worker';
  /** Default 1s. */
  readonly lease?: string;
  readonly crashAt?: string;
  /** Command line before that of Node, and variables it needs. */
  readonly env?: Readonly<Record<string, string>>;
}

const PROGRAMS = join('dist', 'chaos', 'test', 'chaos', 'support');

/** A real process that runs sagas, seen from the test. */
export class WorkerProcess {
  /** What it has said, in order. */
  readonly said: FromWorker[] = [];
  readonly child: ChildProcess;
  /** Its standard error. */
  complaints = '';
  private readonly exit: Promise<unknown[]>;

  constructor({ url, ledgerUrl, program = 'worker', lease = '1s', crashAt, env = {} }: WorkerOptions) {
    const variables = { CHAOS_URL: url, CHAOS_LEDGER_URL: ledgerUrl, CHAOS_LEASE: lease, ...env };
    this.child = fork(join(PROGRAMS, `${program}.js`), [], {
      env: { ...process.env, ...variables, ...(crashAt !== undefined && { SAGAZ_CRASH_AT: crashAt }) },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.exit = once(this.child, 'exit');
    this.child.stderr?.on('data', (chunk: Buffer) => (this.complaints += chunk.toString()));
    this.child.on('message', (message: FromWorker) => this.said.push(message));
    this.child.on('error', () => undefined);
  }

  /** Resolves when it runs sagas, or has ended before it could. */
  async ready(): Promise<this> {
    await this.until(() => this.said.some(({ kind }) => kind === 'ready'));
    return this;
  }

  tell(message: ToWorker): void {
    if (this.child.connected) this.child.send(message, () => undefined);
  }

  /** Resolves when what it says makes the fact true, or when it has ended. */
  async until(fact: () => boolean): Promise<void> {
    while (!fact() && this.child.exitCode === null && this.child.signalCode === null) {
      await Promise.race([once(this.child, 'message'), this.exit]);
    }
  }

  /** Resolves with how often it has reached each point since it was ready. */
  async counts(): Promise<Readonly<Record<string, number>>> {
    const replies = () => this.said.filter((it) => it.kind === 'counts');
    const before = replies().length;
    this.tell({ kind: 'counts' });
    await this.until(() => replies().length > before);
    return replies().at(-1)?.counts ?? {};
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Resolves when it has ended, with the signal that ended it. */
  async ended(): Promise<NodeJS.Signals | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) await this.exit;
    return this.child.signalCode;
  }

  /** A clean shutdown. */
  async stop(): Promise<void> {
    this.kill('SIGTERM');
    await this.ended();
  }
}
