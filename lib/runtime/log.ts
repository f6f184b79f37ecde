/** Where background work reports what nobody awaits. Nest's `Logger` fits. */
export interface Log {
  log(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

/** The same log, for those who must not fail because it does: what it throws is dropped. */
export function harmless(log: Log): Log {
  const safe = (level: keyof Log) => (message: string) => {
    try {
      log[level](message);
    } catch {
      // There is nobody left to tell.
    }
  };
  return { log: safe('log'), warn: safe('warn'), error: safe('error') };
}
