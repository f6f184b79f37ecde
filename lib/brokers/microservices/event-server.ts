import { Server, type MessageHandler } from '@nestjs/microservices';
import { lastValueFrom } from 'rxjs';
import { settleAll } from '../../runtime/settle-all.js';

interface Context {
  taken(): Promise<void>;
}

/**
 * A transport of events that waits for each handler of an event by itself. Nest's chain of them ends with the first that
 * has no value to give, whatever becomes of the others.
 */
export abstract class EventServer extends Server {
  /** Nest 12: hand errors of event handlers to this strategy, do not only log them. */
  override readonly propagatesEventHandlerErrors: boolean = true;
  /** By the first handler of their pattern. */
  private readonly others = new Map<MessageHandler, MessageHandler[]>();

  override addHandler(...added: Parameters<Server['addHandler']>): void {
    const [pattern, handler, isEvent] = added as [string, MessageHandler, boolean?];
    const first = this.messageHandlers.get(this.normalizePattern(pattern));
    if (!first || !isEvent) super.addHandler(...added);
    else this.others.set(first, [...(this.others.get(first) ?? []), handler]);
  }

  /** @returns whether the type has a handler. @throws what a handler throws, when all have ended */
  protected async dispatch(type: string, payload: unknown, context: Context): Promise<boolean> {
    const first = this.getHandlerByPattern(type);
    if (!first) return false;
    const handlers = [first, ...(this.others.get(first) ?? [])];
    await settleAll(handlers.map((handler) => this.call(handler, payload, context)));
    await context.taken();
    return true;
  }

  private async call(handler: MessageHandler, payload: unknown, context: Context): Promise<void> {
    const answer: unknown = await handler(payload, context);
    await lastValueFrom(this.transformToObservable(answer), { defaultValue: undefined });
  }
}
