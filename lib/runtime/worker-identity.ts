/** This process among those that share the database. */
export interface WorkerIdentity {
  /** Unique for every start of a process. */
  readonly id: string;
  /**
   * Milliseconds for which the lease still holds, by this process's own monotonic clock; 0 when it has run out. Then
   * others may have taken over: nothing more may be started or published.
   */
  remainingMs(): number;
}
