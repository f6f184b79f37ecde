import { BaseRpcContext } from '@nestjs/microservices';

interface KnownEvent {
  readonly eventId: string;
  readonly key: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Second argument of an `@EventPattern` handler, or `@Ctx()`: the event without its payload. */
export abstract class EventContext<
  Args extends readonly [KnownEvent, ...unknown[]],
> extends BaseRpcContext<Args> {
  private failure: Error | undefined;

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

  /** Has the event delivered again, even when the handler ends well or an exception filter makes nothing of its error. */
  repeat(error: Error): void {
    this.failure = error;
  }

  /** @internal @throws the error with which it is to be repeated */
  checkTaken(): void {
    if (this.failure) throw this.failure;
  }
}
