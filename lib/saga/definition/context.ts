import type { OutboxEventInput } from '../../events/outbox-event.js';
import type { Outcome } from '../state/step-status.js';

/** What an action and its undo are given. `Tx` is the type of the transaction handle. */
export interface BaseContext<I, R, Tx> {
  readonly sagaId: string;
  readonly sagaName: string;
  readonly step: string;
  /** 1 for the first. */
  readonly attempt: number;
  readonly input: Readonly<I>;
  /** What earlier steps returned, as JSON values; possibly undefined. */
  readonly results: Readonly<Partial<R>>;
  /** Stable over attempts, processes and restarts: `sagaId:step`, for an undo `sagaId:step:undo`. */
  readonly idempotencyKey: string;
  /** Grows with every claim of the saga. */
  readonly fencingToken: number;
  /** Aborted at the time-out, when the saga turns back, at shutdown; the reason is an error of this library. */
  readonly signal: AbortSignal;
  /** When this attempt's time-out ends. */
  readonly deadline: Date;
  /** The transaction of this step. @throws TransactionRequiredError unless the step is `transactional` */
  readonly manager: Tx;
  readonly correlationId: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Writes an event with this attempt's commit; those of a failed attempt are dropped. Resolves to the event id. */
  publish(event: OutboxEventInput): Promise<string>;
}

export interface ActionContext<I, R, Tx> extends BaseContext<I, R, Tx> {
  readonly phase: 'action';
  /** With `waitFor`: the payload of the signal, a JSON value that nobody has checked. */
  readonly signalPayload?: unknown;
}

/** What a probe is given: enough to ask the remote system what became of the action. */
export interface ProbingContext<I, R, Tx> extends Omit<BaseContext<I, R, Tx>, 'manager' | 'publish'> {
  readonly phase: 'probe';
}

/** What a probe found out. `failed` means that the action had no effect and will have none. */
export type ProbeResult<T = unknown> =
  | { readonly outcome: 'completed'; readonly result: T }
  | { readonly outcome: 'failed' }
  | { readonly outcome: 'unknown' };

export interface UndoContext<I, T, R, Tx> extends BaseContext<I, R, Tx> {
  readonly phase: 'undo';
  /** What is known of the action's effect. */
  readonly outcome: Outcome;
  /** What the action returned; undefined when that is not known, so an undo must be happy with nothing to undo. */
  readonly result: T | undefined;
}
