import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** Dumps a database and restores it in another one. */
export function restore(from: string, to: string): void {
  const programs = process.env['PG_DUMP'] ?? '';
  const dump = execFileSync(join(programs, 'pg_dump'), ['--no-owner', from], { maxBuffer: 1 << 30 });
  execFileSync(join(programs, 'psql'), ['-q', '-v', 'ON_ERROR_STOP=1', to], {
    ...{ input: dump, stdio: ['pipe', 'ignore', 'pipe'] },
  });
}
