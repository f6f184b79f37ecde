import { styleText } from 'node:util';
import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import { OrderTrail } from '../orders/order-trail.js';
import type { OrderEntity } from '../orders/order.entity.js';
import { OrdersService } from '../orders/orders.service.js';
import { EventWatch } from '../run/event-watch.js';
import { SummaryService } from '../run/summary.service.js';
import { storyLine } from './story-line.js';

/** Runs a dataset's orders one after the other and tells on stdout what their sagas did. */
@Injectable()
export class StoryTeller implements OnModuleDestroy {
  private readonly closing = new AbortController();

  constructor(
    @Inject(OrdersService) private readonly orders: OrdersService,
    @Inject(OrderTrail) private readonly trail: OrderTrail,
    @Inject(EventWatch) private readonly events: EventWatch,
    @Inject(SummaryService) private readonly summary: SummaryService,
  ) {}

  /** Stopped in the middle, it ends early: the saga in work goes on at the next start. */
  onModuleDestroy(): void {
    this.closing.abort();
  }

  async tell(dataset: string): Promise<void> {
    say(styleText('bold', 'Orders, each a saga: reserve the stock, charge the credit, ship, notify'));
    for (const order of await this.orders.unsettled(dataset)) {
      if (this.closing.signal.aborted) return;
      say(await this.line(order));
    }
    await this.tellEvents(dataset);
  }

  private async line(order: OrderEntity): Promise<string> {
    this.trail.follow(order);
    const settled = await this.orders.settle(order);
    return storyLine(settled, this.trail.take(order));
  }

  private async tellEvents(dataset: string): Promise<void> {
    const { completed } = await this.summary.summarise(dataset);
    const published = await this.events.wait(dataset, {
      expected: completed,
      patienceMs: 10_000,
      signal: this.closing.signal,
    });
    if (this.closing.signal.aborted) return;
    const colour = published === completed ? 'green' : 'red';
    say(
      styleText(
        colour,
        `  ${published} of ${completed} order.completed events went through the outbox to their handler`,
      ),
    );
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
