import { applyDecorators, SetMetadata, UseInterceptors } from '@nestjs/common';
import { CONSUMER_METADATA, type Consumer } from '../inbox/consumer.js';
import { IdempotentConsumerInterceptor } from '../inbox/idempotent-consumer.interceptor.js';

/** Options of `@IdempotentConsumer`; they beat those of the module's `inbox`. */
export interface IdempotentConsumerOptions {
  /** What becomes of a message that is older than the window. */
  onExpired?: 'dead-letter' | 'process' | undefined;
  /** Deliveries that may fail; then the message goes to the dead-letter exchange of its queue, or to `<topic>.dead-letter`. */
  maxDeliveries?: number | undefined;
}

/**
 * Lets each message take effect once in an `@EventPattern` handler: the message is noted in the transaction in which the handler
 * runs, `ConsumerInbox.manager` is its EntityManager, and `outbox.publish(event)` joins it. A repeat is accepted without
 * running. Settles deliveries of RabbitMQ itself, after the COMMIT: the transport needs `noAck: false`.
 * @param name of the consumer, from 1 to 255 characters; never change it: repeats are known by it
 * @throws TypeError for a name or a number that is none
 */
export function IdempotentConsumer(name: string, options: IdempotentConsumerOptions = {}): MethodDecorator {
  const { onExpired, maxDeliveries } = options;
  if (typeof name !== 'string' || name === '' || name.length > 255)
    throw new TypeError('@IdempotentConsumer: expected the name of the consumer, of 1 to 255 characters');
  if (maxDeliveries !== undefined && (!Number.isInteger(maxDeliveries) || maxDeliveries < 1))
    throw new TypeError(`@IdempotentConsumer("${name}"): maxDeliveries: expected a whole number from 1 on`);
  const consumer: Consumer = { name, onExpired, maxDeliveries };
  return applyDecorators(
    SetMetadata(CONSUMER_METADATA, consumer),
    UseInterceptors(IdempotentConsumerInterceptor),
  );
}
