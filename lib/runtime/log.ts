/** A line as text, or with what machines look for beside it. */
export type LogLine = string | { readonly msg: string; readonly [field: string]: unknown };

/** Where background work reports what nobody awaits. Nest's `Logger` fits. */
export interface Log {
  log(line: LogLine): void;
  warn(line: LogLine): void;
  error(line: LogLine): void;
}

/** The same log, for those who must not fail because it does: what it throws is dropped. */
export function harmless(log: Log): Log {
  const safe = (level: keyof Log) => (line: LogLine) => {
    try {
      log[level](line);
    } catch {
      // There is nobody left to tell.
    }
  };
  return { log: safe('log'), warn: safe('warn'), error: safe('error') };
}
