/** A step of a saga of another service, as its participant is asked to do or undo it. */
export interface BarrierCommand {
  readonly sagaId: string;
  readonly step: string;
  /** When the saga was started: the header `sagaStartedAt`. */
  readonly sagaStartedAt: Date;
}

/** `duplicate`: it was done before. `refused`: its undo came first, so it must not be done any more. */
export type ActionResult<T> =
  | { readonly status: 'done'; readonly value: T }
  | { readonly status: 'duplicate' }
  | { readonly status: 'refused' };

/** `nothing`: the action never came, and will be refused when it does. */
export type UndoResult<T> =
  | { readonly status: 'undone'; readonly value: T }
  | { readonly status: 'duplicate' }
  | { readonly status: 'nothing' };

/** What is known of the action that is to be undone: it was done here, or that is so long ago that nobody knows. */
export type KnownAction = 'completed' | 'unknown';

/**
 * What a participant was asked to do and to undo. Noting it and what is written for it are one transaction.
 * Implementations pass the barrier contract.
 */
export abstract class BarrierStorage<Tx = unknown> {
  abstract action<T>(command: BarrierCommand, work: (tx: Tx) => Promise<T>): Promise<ActionResult<T>>;

  abstract undo<T>(
    command: BarrierCommand,
    work: (tx: Tx, action: KnownAction) => Promise<T>,
  ): Promise<UndoResult<T>>;

  /** Forgets what is older, some rows at a time. @returns how many */
  abstract forget(retentionMs: number, limit: number): Promise<number>;
}
