import { InboxTransportError } from '../saga/state/errors.js';

/** A message on its way to a handler, whatever transport brought it. */
export interface Delivery {
  readonly messageId: string;
  readonly headers: Readonly<Record<string, string>>;
  /** It has taken effect, now or before. */
  accept(): Promise<void>;
  /** It is to come again. @throws the error, on transports that repeat what failed */
  repeat(error: Error): Promise<void>;
  /** It is not to come again: it goes where dead letters go. */
  giveUp(error: Error): Promise<void>;
}

/** Headers that are texts, also where a transport gives them as bytes. */
export function textsOf(headers: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> {
  const texts = Object.entries(headers).flatMap(([name, value]) =>
    typeof value === 'string' || Buffer.isBuffer(value) ? [[name, value.toString()] as const] : [],
  );
  return Object.fromEntries(texts);
}

/** @throws InboxTransportError when it is none */
export function idOf(id: unknown, place: string): string {
  if (typeof id === 'string' && id !== '') return id;
  throw new InboxTransportError(
    `a message has no id, so nobody can tell whether it came before: ${place} is missing`,
  );
}
