import {
  Inject,
  Injectable,
  Logger,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { defer, lastValueFrom, type Observable } from 'rxjs';
import { errorText } from '../runtime/error-text.js';
import { MessageExpiredError } from '../saga/state/errors.js';
import { ConsumerInbox, type InboxMessageRef } from './consumer-inbox.js';
import { deliveryOf } from './delivery-of.js';
import type { Delivery } from './delivery.js';
import { consumerOf, type Consumer } from './consumer.js';
import type { InboxResult } from './inbox-storage.js';

interface Failed {
  readonly delivery: Delivery;
  readonly message: InboxMessageRef;
}

/** Runs an event handler in the transaction in which its message is noted, and settles the delivery by what becomes of it. */
@Injectable()
export class IdempotentConsumerInterceptor implements NestInterceptor {
  private readonly log = new Logger('IdempotentConsumer');

  constructor(@Inject(ConsumerInbox) private readonly inbox: ConsumerInbox) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const consumer = consumerOf(context.getHandler());
    if (!consumer || context.getType() !== 'rpc') return next.handle();
    const delivery = deliveryOf(context.switchToRpc().getContext<unknown>());
    // Kafka's transport wants a value.
    return defer(() => this.process(consumer, delivery, next));
  }

  private async process(consumer: Consumer, delivery: Delivery, next: CallHandler): Promise<void> {
    const message = messageOf(consumer, delivery);
    let result: InboxResult<unknown>;
    try {
      result = await this.inbox.process(message, consumer.name, () =>
        lastValueFrom(next.handle(), { defaultValue: undefined }),
      );
    } catch (error) {
      return this.fail(consumer, { delivery, message }, error);
    }
    if (result.status === 'busy')
      return delivery.repeat(new Error('another delivery of this message is being processed'));
    if (result.status !== 'expired') return delivery.accept();
    const { messageId } = delivery;
    const expired = new MessageExpiredError(
      `message ${messageId} is older than the window of ${consumer.name}`,
    );
    await delivery.giveUp(expired);
  }

  private async fail(consumer: Consumer, { delivery, message }: Failed, cause: unknown): Promise<void> {
    const error = cause instanceof Error ? cause : new Error(errorText(cause));
    const limit = consumer.maxDeliveries ?? this.inbox.maxDeliveries;
    // When even that cannot be stored, it is not the message's fault.
    const failures = await this.inbox.failures(message, consumer.name, error).catch(() => 0);
    if (failures < limit) return delivery.repeat(error);
    this.log.error(
      `${consumer.name} gave up message ${delivery.messageId} after ${failures} deliveries: ${errorText(error)}`,
    );
    await delivery.giveUp(error);
  }
}

function messageOf({ onExpired }: Consumer, { messageId: id, headers }: Delivery): InboxMessageRef {
  const text = headers['stampedAt'] ?? headers['occurredAt'] ?? headers['ce_time'];
  const stamp = text === undefined ? undefined : new Date(text);
  const isDate = stamp !== undefined && !Number.isNaN(stamp.getTime());
  return { id, headers, ...(isDate && { stamp }), ...(onExpired && { onExpired }) };
}
