import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';

/** Programs of the samples. */
const ENTRIES = {
  main: '01-order-service/main',
  orders: '01-order-service/orders',
  events: '02-order-events/main',
  booking: '05-booking/main',
} as const;

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** One run of the built sample, as a process of its own. */
export class SampleProcess {
  private static readonly running = new Set<SampleProcess>();

  stdout = '';
  stderr = '';
  readonly ended: Promise<Ended>;
  private readonly child: ChildProcess;
  private readonly news = new EventEmitter();
  private hasEnded = false;

  constructor(entry: keyof typeof ENTRIES, args: readonly string[], env: NodeJS.ProcessEnv) {
    this.child = spawn(process.execPath, [`dist/sample/${ENTRIES[entry]}.js`, ...args], {
      env: { ...process.env, NO_COLOR: '1', NODE_ENV: '', PORT: '0', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.listen('stdout');
    this.listen('stderr');
    SampleProcess.running.add(this);
    this.ended = this.end();
  }

  /** For a test that failed half way. */
  static killAll(): void {
    for (const process of SampleProcess.running) process.kill('SIGKILL');
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** The match of the pattern in what the process has printed, as soon as it is there. */
  async prints(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const heard = once(this.news, 'heard');
      const printed = `${this.stdout}\n${this.stderr}`;
      const match = pattern.exec(printed);
      if (match) return match;
      if (this.hasEnded) throw new Error(`the sample ended without printing ${String(pattern)}:\n${printed}`);
      await heard;
    }
  }

  private listen(stream: 'stdout' | 'stderr'): void {
    this.child[stream]?.setEncoding('utf8').on('data', (part: string) => {
      this[stream] += part;
      this.news.emit('heard');
    });
  }

  private async end(): Promise<Ended> {
    const [code] = (await once(this.child, 'close')) as [number | null];
    SampleProcess.running.delete(this);
    this.hasEnded = true;
    this.news.emit('heard');
    return { code, stdout: this.stdout, stderr: this.stderr };
  }
}

export function expectSuccess({ code, stdout, stderr }: Ended): void {
  if (code !== 0) throw new Error(`exit code ${code}\n${stdout}\n${stderr}`);
}

/** One message on stderr and nothing else. */
export function expectFault({ code, stdout, stderr }: Ended, expected: number, message: RegExp): void {
  expect(stderr).toMatch(message);
  expect({ code, stdout }).toEqual({ code: expected, stdout: '' });
}
