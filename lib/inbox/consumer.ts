/** What `@IdempotentConsumer` says of a handler. */
export interface Consumer {
  readonly name: string;
  readonly onExpired: 'dead-letter' | 'process' | undefined;
  readonly maxDeliveries: number | undefined;
}

/** A registered symbol, so that an ESM and a CommonJS copy mean the same. */
export const CONSUMER_METADATA = Symbol.for('nestjs-sagaz:idempotent-consumer');

export function consumerOf(handler: object): Consumer | undefined {
  return Reflect.getMetadata(CONSUMER_METADATA, handler) as Consumer | undefined;
}
