/** A message on its way to a handler, whatever transport brought it. */
export interface Delivery {
  /** Empty where the message has none. */
  readonly messageId: string;
  readonly headers: Readonly<Record<string, string>>;
  /** It has taken effect, now or before. */
  accept(): Promise<void>;
  /** It is to come again. @throws the error, on transports that repeat what failed */
  repeat(error: Error): Promise<void>;
  /** It is not to come again: it goes where dead letters go. */
  giveUp(error: Error): Promise<void>;
}
