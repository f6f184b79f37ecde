import { Deferred } from '../runtime/deferred.js';

/** The handlers of messages, as they were found at boot. */
export class InboxConsumers {
  private readonly boot = new Deferred<ReadonlyMap<object, number>>();

  /** @param sharing how many consumers get each message of a handler */
  begin(sharing: ReadonlyMap<object, number>): void {
    this.boot.resolve(sharing);
  }

  /** Resolves when the application has been found fit: transports may bring messages before that. */
  async sharing(handler: object): Promise<number> {
    return (await this.boot.promise).get(handler) ?? 1;
  }
}
