/** Where background work reports what nobody awaits. Nest's `Logger` fits. */
export interface Log {
  log(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}
