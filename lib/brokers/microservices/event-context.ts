import { BaseRpcContext } from '@nestjs/microservices';
import { settleAll } from '../../runtime/settle-all.js';

interface KnownEvent {
  readonly eventId: string;
  readonly key: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Second argument of an `@EventPattern` handler, or `@Ctx()`: the event without its payload. */
export abstract class EventContext<
  Args extends readonly [KnownEvent, ...unknown[]],
> extends BaseRpcContext<Args> {
  private readonly held: Promise<unknown>[] = [];

  /** Stable over redeliveries. */
  get eventId(): string {
    return this.args[0].eventId;
  }

  get key(): string {
    return this.args[0].key;
  }

  get headers(): Readonly<Record<string, string>> {
    return this.args[0].headers;
  }

  /**
   * The event is taken when this work is done too, and delivered again when it fails, whatever an exception filter makes of
   * its error.
   */
  hold(work: Promise<unknown>): void {
    this.held.push(work);
  }

  /** @internal @throws the error of the first that failed, when all have ended */
  async taken(): Promise<void> {
    await settleAll(this.held);
  }
}
