import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The two ways in which the runbook says how each thing is done: the first line of their blocks. */
export type Channel = 'command line' | 'over HTTP';

/** The runbook as it stands, to be carried out. */
export class Runbook {
  readonly used = new Set<string>();

  private constructor(private readonly sections: ReadonlyMap<string, string>) {}

  static async read(): Promise<Runbook> {
    const page = await readFile('docs/operations/runbook.md', 'utf8');
    const sections = page.split(/^## /m).slice(1);
    return new Runbook(new Map(sections.map((text) => [text.slice(0, text.indexOf('\n')), text])));
  }

  /** Sections with something to carry out. */
  get titles(): readonly string[] {
    return [...this.sections].filter(([, text]) => text.includes('```sh')).map(([title]) => title);
  }

  /** Carries out every block of a section, as it stands. @returns what they printed */
  async follow(title: string, channel: Channel, env: NodeJS.ProcessEnv): Promise<string> {
    const text = this.sections.get(title) ?? '';
    const blocks = [...text.matchAll(/^```sh\n# (.*)\n([^`]*)^```/gm)].filter(
      ([, which]) => which === channel,
    );
    if (blocks.length === 0) throw new Error(`the runbook has nothing to do ${channel} under "${title}"`);
    this.used.add(title);
    let printed = '';
    for (const [, , script = ''] of blocks) {
      const { stdout } = await run('bash', ['-euc', PROGRAM + script], { env: { ...process.env, ...env } });
      printed += stdout;
    }
    return printed;
  }
}

/** The package is not installed here: its program is called as npx would call it. */
const PROGRAM = `npx() { test "$1" = nestjs-sagaz; shift; "${process.execPath}" dist/esm/cli/main.js "$@"; }\n`;
