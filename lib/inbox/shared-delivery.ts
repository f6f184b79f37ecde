import type { Log } from '../runtime/log.js';
import { deliveryOf } from './delivery-of.js';
import type { Delivery } from './delivery.js';

const SHARED = Symbol('shared delivery');

/** What becomes of a message that several consumers get, from the best to the worst. */
const VERDICTS = ['accept', 'giveUp', 'repeat'] as const;
type Verdict = (typeof VERDICTS)[number];

const NONE = new Error('nothing is wrong');

/**
 * The delivery behind the context of a Nest handler, which is the same for all handlers of a message.
 * @param consumers how many of them there are
 * @throws InboxTransportError as `deliveryOf` does
 */
export function sharedDelivery(context: unknown, consumers: number, log: Log): Delivery {
  const holder = Object(context) as { [SHARED]?: SharedDelivery };
  return (holder[SHARED] ??= new SharedDelivery(deliveryOf(context, log), consumers));
}

/**
 * A message can be settled once, though Nest hands it to every handler of its pattern: that is done when the last of them
 * is, and the worst verdict counts. Handlers that had no trouble take a repeat for the duplicate that it is.
 */
class SharedDelivery implements Delivery {
  readonly messageId: string;
  readonly headers: Readonly<Record<string, string>>;
  private worst: Verdict = 'accept';
  private error = NONE;

  constructor(
    private readonly delivery: Delivery,
    private left: number,
  ) {
    this.messageId = delivery.messageId;
    this.headers = delivery.headers;
  }

  accept(): Promise<void> {
    return this.settle('accept', NONE);
  }

  giveUp(error: Error): Promise<void> {
    return this.settle('giveUp', error);
  }

  repeat(error: Error): Promise<void> {
    return this.settle('repeat', error);
  }

  private async settle(verdict: Verdict, error: Error): Promise<void> {
    if (VERDICTS.indexOf(verdict) > VERDICTS.indexOf(this.worst)) [this.worst, this.error] = [verdict, error];
    this.left -= 1;
    if (this.left > 0) return;
    if (this.worst === 'accept') await this.delivery.accept();
    else await this.delivery[this.worst](this.error);
  }
}
