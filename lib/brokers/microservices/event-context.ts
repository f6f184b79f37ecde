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
}
