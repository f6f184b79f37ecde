import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';

/** As its own process, of which nobody reads a stream. */
function unread(stream: 'stdout' | 'stderr', ...argv: string[]) {
  const program = spawn(process.execPath, ['dist/esm/cli/main.js', ...argv], { env: {} });
  program[stream].destroy();
  return program;
}

describe('the program of the command line', () => {
  it('ends quietly when nobody reads what it prints, such as behind `| head -1`', async () => {
    const program = unread('stdout', 'sql');
    const err = text(program.stderr);
    expect(await once(program, 'close')).toEqual([0, null]);
    expect(await err).toBe('');
  });

  it('ends with its exit code when nobody reads its fault', async () => {
    const program = unread('stderr', 'statsu');
    const out = text(program.stdout);
    expect(await once(program, 'close')).toEqual([2, null]);
    expect(await out).toBe('');
  });
});
