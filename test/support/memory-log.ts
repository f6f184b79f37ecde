import type { Log } from '../../lib/runtime/log.js';

/** Keeps what was logged. */
export class MemoryLog implements Log {
  readonly lines: string[] = [];

  log(message: string): void {
    this.lines.push(`log ${message}`);
  }

  warn(message: string): void {
    this.lines.push(`warn ${message}`);
  }

  error(message: string): void {
    this.lines.push(`error ${message}`);
  }
}
