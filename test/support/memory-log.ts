import type { Log, LogLine } from '../../lib/runtime/log.js';

/** Keeps what was logged. */
export class MemoryLog implements Log {
  readonly lines: string[] = [];

  log(line: LogLine): void {
    this.lines.push(`log ${textOf(line)}`);
  }

  warn(line: LogLine): void {
    this.lines.push(`warn ${textOf(line)}`);
  }

  error(line: LogLine): void {
    this.lines.push(`error ${textOf(line)}`);
  }
}

/** The message, and what stands beside it. */
function textOf(line: LogLine): string {
  if (typeof line === 'string') return line;
  const { msg, ...fields } = line;
  return `${msg} ${JSON.stringify(fields)}`;
}
