import { Controller, Inject } from '@nestjs/common';
import { EventPattern, Payload } from '@nestjs/microservices';
import { ConsumerInbox, IdempotentConsumer } from '../../../lib/index.js';

/** What the events of the end-to-end suite carry. */
export interface Counted {
  readonly key: string;
  /** Grows with the order in which the events of a key were committed. */
  readonly n: number;
  /** Its handler fails, always. */
  readonly poison: boolean;
  /** Written longer ago than anybody remembers. */
  readonly old: boolean;
}

/** Nothing but the inbox keeps a message from taking effect twice: there is no unique index. */
export const TAKEN_TABLE = 'CREATE TABLE taken (consumer text NOT NULL, key text NOT NULL, n int NOT NULL)';

export const INBOX = { window: '1h', maxDeliveries: 3 } as const;

/** Two consumers of each event, in one application. */
@Controller()
export class Takers {
  constructor(@Inject(ConsumerInbox) private readonly inbox: ConsumerInbox) {}

  @EventPattern<string>('counted')
  @IdempotentConsumer('billing')
  bill(@Payload() event: Counted): Promise<void> {
    return this.take('billing', event);
  }

  @EventPattern<string>('counted')
  @IdempotentConsumer('audit')
  audit(@Payload() event: Counted): Promise<void> {
    return this.take('audit', event);
  }

  private async take(consumer: string, { key, n, poison }: Counted): Promise<void> {
    await this.inbox.manager?.query('INSERT INTO taken VALUES ($1, $2, $3)', [consumer, key, n]);
    if (poison) throw new Error('nobody can take this');
  }
}
