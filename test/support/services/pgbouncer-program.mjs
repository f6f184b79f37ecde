import { execFileSync } from 'node:child_process';
import fs from 'node:fs';

/** Where Debian's package has it, which is not on everybody's path. */
const DEBIAN = '/usr/sbin/pgbouncer';

/** The program, if this machine has it. */
export function findPgBouncer() {
  if (fs.existsSync(DEBIAN)) return DEBIAN;
  try {
    return execFileSync('which', ['pgbouncer'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return undefined;
  }
}
