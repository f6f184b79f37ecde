/**
 * Tells relays that events were committed, so that none has to wait for its next look. A signal may be lost: the looks
 * are what is relied upon.
 */
export abstract class OutboxSignal {
  /** Events were committed in this process. Called as often as it likes: signals are drawn together. */
  abstract tell(): void;

  /** Calls back when any process tells. @returns a function that ends that */
  abstract listen(told: () => void): () => void;
}
