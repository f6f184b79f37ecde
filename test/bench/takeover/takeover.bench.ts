import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { atMost, type Bench, type BenchSettings, type Figure } from '../bench.js';
import { aboutServer, benchDatabase, benchServer } from '../database.js';

interface Said {
  readonly kind: 'ready' | 'hangs' | 'resumed';
  readonly at: number;
}

const KILLS = 50;
const QUICK_KILLS = 4;

export const takeoverBench: Bench = {
  name: 'takeover',
  about: 'a process is killed in the middle of a saga: time until another one has resumed its step',
  async run(settings: BenchSettings): Promise<readonly Figure[]> {
    const server = await benchServer();
    const database = await benchDatabase(server.url);
    const living: ChildProcess[] = [];
    try {
      settings.tell(await aboutServer(server.url));
      const times = await killedOneByOne(living, database.url, settings);
      return [
        { field: 'p50Ms', value: at(times, 0.5), unit: 'ms' },
        { field: 'p99Ms', value: at(times, 0.99), unit: 'ms', bar: atMost(1_000) },
      ];
    } finally {
      for (const child of living) child.kill('SIGKILL');
      await Promise.all(living.map((child) => once(child, 'exit')));
      await database.drop();
      await server.stop();
    }
  },
};

/** Two processes; the older one, which looks for dead ones, is killed as often as the younger one. @returns sorted times */
async function killedOneByOne(
  living: ChildProcess[],
  url: string,
  { quick, progress }: BenchSettings,
): Promise<number[]> {
  const kills = quick ? QUICK_KILLS : KILLS;
  const times: number[] = [];
  progress.start(kills);
  living.push(await started(url), await started(url));
  for (let kill = 0; kill < kills; kill++) {
    const [victim] = living.splice(kill % 2, 1);
    const [survivor] = living;
    if (!victim || !survivor) throw new Error('there are two processes');
    const hangs = said(victim, 'hangs');
    victim.send('start');
    await hangs;
    const resumed = said(survivor, 'resumed');
    const killedAt = Date.now();
    victim.kill('SIGKILL');
    times.push((await resumed).at - killedAt);
    living.push(await started(url));
    progress.step(`kill ${kill + 1}`);
  }
  progress.stop();
  return times.sort((a, b) => a - b);
}

async function started(url: string): Promise<ChildProcess> {
  const child = fork(new URL('worker.js', import.meta.url), [url]);
  await said(child, 'ready');
  return child;
}

function said(child: ChildProcess, kind: Said['kind']): Promise<Said> {
  return new Promise((resolve, reject) => {
    const hear = (message: Said) => {
      if (message.kind !== kind) return;
      child.off('message', hear);
      resolve(message);
    };
    child.on('message', hear);
    if (kind === 'ready') child.once('exit', () => reject(new Error('a process ended before it was ready')));
  });
}

/** The smallest value that so many of all do not exceed. */
function at(sorted: readonly number[], part: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? NaN;
}
