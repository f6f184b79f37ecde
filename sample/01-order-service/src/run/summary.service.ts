import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { OrderState } from '../orders/order-state.js';
import { OrderEntity } from '../orders/order.entity.js';
import { PublishedOrderEntity } from '../notifications/published-order.entity.js';
import { ProductEntity } from '../stock/product.entity.js';
import type { Summary } from './summary.js';

const EXPECTED: readonly string[] = [
  OrderState.Completed,
  OrderState.OutOfStock,
  OrderState.CreditRefused,
  OrderState.CarrierRefused,
];

interface StateRow {
  readonly state: string;
  readonly orders: number;
  readonly total: string;
}

/** Reads how a run stands from the tables, so orders that an earlier, killed run finished are counted too. */
@Injectable()
export class SummaryService {
  constructor(@Inject(DataSource) private readonly dataSource: DataSource) {}

  async summarise(dataset: string): Promise<Summary> {
    const states = await this.states(dataset);
    const count = (state: string) => states.find((row) => row.state === state)?.orders ?? 0;
    const others = states.filter((row) => !EXPECTED.includes(row.state));
    return {
      orders: states.reduce((sum, row) => sum + row.orders, 0),
      completed: count(OrderState.Completed),
      outOfStock: count(OrderState.OutOfStock),
      creditRefused: count(OrderState.CreditRefused),
      carrierRefused: count(OrderState.CarrierRefused),
      stockLeft: Number(await this.dataSource.manager.sum(ProductEntity, 'stock', { dataset })),
      revenue: states.find((row) => row.state === OrderState.Completed)?.total ?? '0.00',
      published: await this.published(dataset),
      others: Object.fromEntries(others.map((row) => [row.state, row.orders])),
    };
  }

  async published(dataset: string): Promise<number> {
    return this.dataSource.manager.countBy(PublishedOrderEntity, { dataset });
  }

  private async states(dataset: string): Promise<StateRow[]> {
    return this.dataSource.manager
      .createQueryBuilder(OrderEntity, 'o')
      .select('o.state', 'state')
      .addSelect('count(*)::int', 'orders')
      .addSelect('sum(o.total)::text', 'total')
      .where('o.dataset = :dataset', { dataset })
      .groupBy('o.state')
      .getRawMany<StateRow>();
  }
}
