import { run } from '../../lib/cli/run.js';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Calls the command line as its program does, in this process. */
export async function cli(
  env: Readonly<Record<string, string | undefined>>,
  ...argv: string[]
): Promise<Ran> {
  let [out, err] = ['', ''];
  const code = await run(argv, { env, out: (text) => void (out += text), err: (text) => void (err += text) });
  return { code, out, err };
}
