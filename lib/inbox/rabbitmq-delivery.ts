import { idOf, textsOf, type Delivery } from './delivery.js';

interface RabbitMqMessage {
  readonly properties: {
    readonly messageId?: unknown;
    readonly headers?: Readonly<Record<string, unknown>> | undefined;
  };
  [SETTLEMENT]?: Settlement;
}

interface Channel {
  ack(message: RabbitMqMessage): void;
  nack(message: RabbitMqMessage, allUpTo: boolean, requeue: boolean): void;
}

export interface RabbitMqShape {
  getMessage(): RabbitMqMessage;
  getChannelRef(): Channel;
}

/** Before a message that failed goes back to its queue, which would bring it again at once. */
const REPEAT_PAUSE_MS = 200;

/** What becomes of a message that several handlers get, from the best to the worst. */
const VERDICTS = ['accept', 'give up', 'repeat'] as const;
type Verdict = (typeof VERDICTS)[number];

const SETTLEMENT = Symbol('settlement');

export function rabbitMqDelivery(context: RabbitMqShape): Delivery {
  const message = context.getMessage();
  const headers = textsOf(message.properties.headers ?? {});
  const { messageId = headers['id'] } = message.properties;
  const id = idOf(messageId, 'the property messageId');
  const settlement = (message[SETTLEMENT] ??= new Settlement(message, context.getChannelRef()));
  settlement.join();
  return {
    ...{ messageId: id, headers },
    accept: () => settlement.settle('accept'),
    repeat: () => settlement.settle('repeat'),
    giveUp: () => settlement.settle('give up'),
  };
}

/**
 * A message can be settled once, though Nest hands it to every handler of its pattern: that is done when the last of them
 * is, and the worst verdict counts. Handlers that had no trouble take a repeat for the duplicate that it is.
 */
class Settlement {
  private handlers = 0;
  private worst = 0;

  constructor(
    private readonly message: RabbitMqMessage,
    private readonly channel: Channel,
  ) {}

  join(): void {
    this.handlers += 1;
  }

  async settle(verdict: Verdict): Promise<void> {
    this.worst = Math.max(this.worst, VERDICTS.indexOf(verdict));
    if (verdict === 'repeat') await new Promise((resolve) => setTimeout(resolve, REPEAT_PAUSE_MS));
    this.handlers -= 1;
    if (this.handlers > 0) return;
    const { message, channel } = this;
    if (VERDICTS[this.worst] === 'accept') channel.ack(message);
    // Without a requeue it goes to the dead-letter exchange of the queue.
    else channel.nack(message, false, VERDICTS[this.worst] === 'repeat');
  }
}
