import {
  Inject,
  Injectable,
  Logger,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { defer, lastValueFrom, type Observable } from 'rxjs';
import { errorOf, errorText } from '../runtime/error-text.js';
import { CommitUnknownError, InboxTransportError, MessageExpiredError } from '../saga/state/errors.js';
import { ConsumerInbox, isInboxKey, type InboxMessageRef } from './consumer-inbox.js';
import { consumerOf, type Consumer } from './consumer.js';
import type { Delivery } from './delivery.js';
import { InboxConsumers } from './inbox-consumers.js';
import type { InboxResult } from './inbox-storage.js';
import { sharedDelivery } from './shared-delivery.js';

interface Holding {
  hold(work: Promise<unknown>): void;
}

interface Failed {
  readonly delivery: Delivery;
  readonly message: InboxMessageRef;
}

/** Runs an event handler in the transaction in which its message is noted, and settles the delivery by what becomes of it. */
@Injectable()
export class IdempotentConsumerInterceptor implements NestInterceptor {
  private readonly log = new Logger('IdempotentConsumer');

  constructor(
    @Inject(ConsumerInbox) private readonly inbox: ConsumerInbox,
    @Inject(InboxConsumers) private readonly consumers: InboxConsumers,
  ) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const consumer = consumerOf(context.getHandler());
    if (!consumer || context.getType() !== 'rpc') return next.handle();
    // Kafka's transport wants a value.
    return defer(() => {
      const work = this.deliver(consumer, context, next);
      // The transports of this library wait for it, whatever becomes of what is returned here.
      context.switchToRpc().getContext<Partial<Holding> | undefined>()?.hold?.(work);
      return work;
    });
  }

  private async deliver(consumer: Consumer, context: ExecutionContext, next: CallHandler): Promise<void> {
    const sharing = await this.consumers.sharing(context.getHandler());
    const delivery = sharedDelivery(context.switchToRpc().getContext<unknown>(), sharing, this.log);
    await this.process(consumer, delivery, next);
  }

  private async process(consumer: Consumer, delivery: Delivery, next: CallHandler): Promise<void> {
    if (!isInboxKey(delivery.messageId)) return this.refuse(consumer, delivery);
    const message = messageOf(consumer, delivery);
    let result: InboxResult<unknown>;
    let begun = false;
    try {
      result = await this.inbox.process(message, consumer.name, () => {
        begun = true;
        return lastValueFrom(next.handle(), { defaultValue: undefined });
      });
    } catch (error) {
      // Says nothing of the message: there was no connection to be had, say, or it may have taken effect.
      if (!begun || error instanceof CommitUnknownError) return delivery.repeat(errorOf(error));
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

  /** Nobody can tell whether it came before, and it would not be otherwise the next time. */
  private async refuse({ name }: Consumer, delivery: Delivery): Promise<void> {
    const error = new InboxTransportError('a message has no id of 1 to 255 characters');
    this.log.error(`${name}: ${error.message}; given up`);
    await delivery.giveUp(error);
  }

  private async fail(consumer: Consumer, { delivery, message }: Failed, cause: unknown): Promise<void> {
    const error = errorOf(cause);
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
