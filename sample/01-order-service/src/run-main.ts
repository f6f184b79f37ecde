import { SagazError } from 'nestjs-sagaz';
import { UserError } from './user.error.js';

const LAST_GASP_MS = 1_000;

/** Runs a command; a fault becomes one message on stderr. The exit code is what the command returned. */
export async function runMain(command: () => Promise<number>): Promise<void> {
  try {
    process.exitCode = await command();
  } catch (error) {
    process.stderr.write(`${describe(error)}\n`);
    process.exitCode = error instanceof UserError ? error.exitCode : 1;
    // A start that failed half way may have left a connection open, which must not keep the process alive.
    setTimeout(() => process.exit(), LAST_GASP_MS).unref();
  }
}

function describe(error: unknown): string {
  // These say what is wrong and what to do; where they were thrown is of no use to the reader.
  if (error instanceof UserError || error instanceof SagazError) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
