import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { SERVICES, type Config, type ServiceName } from './config.js';
import { startService } from './start-service.js';

const PROGRAM = fileURLToPath(new URL('service.js', import.meta.url));

/** Where each service answers. */
export type Addresses = Readonly<Record<ServiceName, string>>;

/** Three processes, or one when events do not leave it. Consumers come first: then each event has somebody to go to. */
export async function startServices(config: Config): Promise<Addresses> {
  if (config.SAGAZ_BROKER === 'memory') {
    const { url } = await startService(config, SERVICES);
    return { orders: url, billing: url, mail: url };
  }
  const [mail, billing] = await Promise.all([startProcess('mail'), startProcess('billing')]);
  return { mail, billing, orders: await startProcess('orders') };
}

async function startProcess(name: ServiceName): Promise<string> {
  const child = fork(PROGRAM, [name], { stdio: 'inherit' });
  const stop = () => child.kill('SIGTERM');
  process.once('exit', stop);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
  const ended = endOf(name, child);
  const [{ url }] = (await Promise.race([once(child, 'message'), ended])) as [{ url: string }];
  // Without one of them the others are of no use.
  ended.catch((error: unknown) => {
    process.stderr.write(`${String(error)}\n`);
    process.exit(1);
  });
  return url;
}

async function endOf(name: ServiceName, child: ChildProcess): Promise<never[]> {
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code === 0 || child.killed) return [];
  throw new Error(`the ${name} service ended with ${code === null ? 'a signal' : `code ${code}`}`);
}
