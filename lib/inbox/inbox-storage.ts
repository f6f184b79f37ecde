/** A message as one consumer sees it. */
export interface InboxMessage {
  readonly consumer: string;
  /** Stable over redeliveries. */
  readonly messageId: string;
  /** When it was written, by the clock of its producer's database; undefined when that is not known. */
  readonly stamp: Date | undefined;
}

/**
 * What became of a message. `duplicate`: it had taken effect before. `expired`: it is older than the window, so nobody knows
 * whether it had. `busy`: another delivery of it is being processed at this moment; deliver it again later.
 */
export type InboxResult<T> =
  | { readonly status: 'processed'; readonly value: T }
  | { readonly status: 'duplicate' }
  | { readonly status: 'expired' }
  | { readonly status: 'busy' };

export interface InboxRules {
  /** For how long messages are remembered. */
  readonly windowMs: number;
  /** Older messages are processed, though they may have been before. */
  readonly processesExpired: boolean;
}

/**
 * What consumers have processed. Noting a message and what its handler writes are one transaction. What is *not* here: talking
 * to transports.
 * Implementations pass the inbox storage contract.
 */
export abstract class InboxStorage<Tx = unknown> {
  /**
   * Notes a message that is new and runs the work in the same transaction. When the work throws nothing is noted, so that the
   * message can come again.
   */
  abstract process<T>(
    message: InboxMessage,
    rules: InboxRules,
    work: (tx: Tx) => Promise<T>,
  ): Promise<InboxResult<T>>;

  /** The transaction of `process` around the caller. */
  abstract currentTransaction(): Tx | undefined;

  /** Counts a failure. @returns how many there were, with this one */
  abstract fail(message: InboxMessage, error: string): Promise<number>;

  /** Forgets messages that are refused by their age anyway, a day after the window, some at a time. @returns how many */
  abstract forget(windowMs: number, limit: number): Promise<number>;
}
