import { Inject, Injectable } from '@nestjs/common';
import type { OrderEntity } from '../orders/order.entity.js';
import { OrdersService } from '../orders/orders.service.js';
import { DatasetsService } from '../datasets/datasets.service.js';
import type { OrderData } from '../datasets/order-data.js';
import { EventWatch } from './event-watch.js';
import { OrderRun } from './order-run.js';
import { startProgress } from './progress.js';
import type { Summary } from './summary.js';
import { SummaryService } from './summary.service.js';

export interface BatchPlan {
  readonly dataset: string;
  readonly data: OrderData;
  readonly concurrency: number;
  /** Once aborted, no further order is taken. */
  readonly signal: AbortSignal;
}

/** Works through all orders of a dataset, or through those that an earlier, interrupted run left. */
@Injectable()
export class Batch {
  /** Orders without a final state, as far as this process knows. */
  left = 0;

  constructor(
    @Inject(DatasetsService) private readonly datasets: DatasetsService,
    @Inject(OrdersService) private readonly orders: OrdersService,
    @Inject(OrderRun) private readonly orderRun: OrderRun,
    @Inject(EventWatch) private readonly events: EventWatch,
    @Inject(SummaryService) private readonly summary: SummaryService,
  ) {}

  async run(plan: BatchPlan): Promise<Summary> {
    const { dataset, data, signal } = plan;
    this.left = data.orders.length;
    const isNew = await this.datasets.load(dataset, data);
    const open = await this.orders.unsettled(dataset);
    this.left = open.length;
    if (!isNew) say(`continuing: ${data.orders.length - open.length} orders were finished before`);
    await this.settleAll(open, plan);
    const summary = await this.summary.summarise(dataset);
    await this.waitForEvents(dataset, summary, signal);
    return { ...summary, published: await this.summary.published(dataset) };
  }

  private async settleAll(
    open: readonly OrderEntity[],
    { data, concurrency, signal }: BatchPlan,
  ): Promise<void> {
    const total = data.orders.length;
    const progress = startProgress({ label: 'orders', total, done: total - open.length });
    const onSettled = () => {
      this.left -= 1;
      if (!signal.aborted) progress.update(total - this.left);
    };
    signal.addEventListener('abort', () => progress.stop(), { once: true });
    await this.orderRun.run(open, { concurrency, signal, onSettled }).finally(() => progress.stop());
  }

  private async waitForEvents(
    dataset: string,
    { completed, published }: Summary,
    signal: AbortSignal,
  ): Promise<void> {
    if (published === completed) return;
    const progress = startProgress({ label: 'events', total: completed, done: published });
    const onProgress = (done: number) => progress.update(done);
    await this.events
      .wait(dataset, { expected: completed, signal, onProgress })
      .finally(() => progress.stop());
  }
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
