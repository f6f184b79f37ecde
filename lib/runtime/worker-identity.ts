/** This process among those that share the database. */
export interface WorkerIdentity {
  readonly id: string;
  /**
   * Whether the lease still holds by this process's own monotonic clock. When it does not, others may have taken over:
   * nothing more may be started or published.
   */
  isAlive(): boolean;
}
