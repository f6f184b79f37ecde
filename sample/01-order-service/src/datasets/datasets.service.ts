import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager, type EntityTarget, type ObjectLiteral } from 'typeorm';
import { CustomerEntity } from '../customers/customer.entity.js';
import { OrderEntity } from '../orders/order.entity.js';
import { ProductEntity } from '../stock/product.entity.js';
import { DatasetEntity } from './dataset.entity.js';
import type { OrderData } from './order-data.js';

/** PostgreSQL takes at most 65,535 parameters in a statement. */
const ROWS_PER_INSERT = 1_000;

@Injectable()
export class DatasetsService {
  constructor(@Inject(DataSource) private readonly dataSource: DataSource) {}

  /**
   * Stores the data under the name, all or nothing, unless it is there already: then the earlier stock, credit
   * and orders stand as they are. Of two processes that load at once, the second waits and finds it loaded.
   *
   * @returns whether this call stored it
   */
  async load(name: string, data: OrderData): Promise<boolean> {
    return this.dataSource.transaction(async (manager) => {
      const insert = manager.createQueryBuilder().insert().into(DatasetEntity).values({ name }).orIgnore();
      const inserted = (await insert.returning('name').execute()).raw as unknown[];
      if (inserted.length === 0) return false;
      await insertAll(manager, ProductEntity, name, data.products);
      await insertAll(manager, CustomerEntity, name, data.customers);
      await insertAll(manager, OrderEntity, name, data.orders);
      return true;
    });
  }
}

async function insertAll<T extends ObjectLiteral>(
  manager: EntityManager,
  entity: EntityTarget<T>,
  dataset: string,
  rows: readonly object[],
): Promise<void> {
  for (let first = 0; first < rows.length; first += ROWS_PER_INSERT) {
    const part = rows.slice(first, first + ROWS_PER_INSERT).map((row) => ({ ...row, dataset }));
    await manager
      .createQueryBuilder()
      .insert()
      .into(entity)
      .values(part as never)
      .updateEntity(false)
      .execute();
  }
}
