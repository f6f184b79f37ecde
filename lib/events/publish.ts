/** An event on its way to a broker. */
export interface PublishItem {
  /** Stable over retries; consumers recognise repeats by it. */
  readonly eventId: string;
  readonly type: string;
  readonly key: string;
  /** JSON text, passed on as it is. */
  readonly payload: string;
  /**
   * Always with `id`, `type`, `key`, `occurredAt`; from a saga also `sagaId` and `correlationId`; for an event that was for
   * later also `stampedAt`, from when on consumers count its age.
   */
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * What became of one event. `ok`: the broker has it, in the sense its docs give. `retryable`: it was refused for now, and has
 * used up an attempt. `rejected`: this broker will never take it.
 */
export type PublishOutcome =
  | { readonly status: 'ok' }
  | { readonly status: 'retryable'; readonly reason: string }
  | { readonly status: 'rejected'; readonly reason: string };

/**
 * One outcome for each event of a batch, in its order. Undefined for an event that nothing is known of: it may have arrived
 * or not, comes again, and has used up no attempt.
 */
export type PublishOutcomes = readonly (PublishOutcome | undefined)[];
