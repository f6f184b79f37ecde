import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import type { OrderLine } from '../datasets/order-data.js';
import type { OrderKey } from '../orders/order-input.js';
import { OutOfStockError } from './out-of-stock.error.js';
import { ProductEntity } from './product.entity.js';
import { ReservationEntity } from './reservation.entity.js';

@Injectable()
export class StockService {
  constructor(@Inject(DataSource) private readonly dataSource: DataSource) {}

  /**
   * Takes every line out of the stock, or throws and lets the caller's transaction roll back.
   *
   * Product rows are locked by product id, here and in `release`, so concurrent orders queue and never deadlock.
   * The condition stands in the UPDATE itself: it is judged on the row as it is when the lock is granted.
   *
   * @throws OutOfStockError for the first line that the stock does not cover
   */
  async reserve(manager: EntityManager, order: OrderKey, lines: readonly OrderLine[]): Promise<void> {
    for (const { productId, quantity } of byProduct(lines)) {
      const taken = await manager
        .createQueryBuilder()
        .update(ProductEntity)
        .set({ stock: () => 'stock - :quantity' })
        .where('dataset = :dataset AND product_id = :productId AND stock >= :quantity')
        .setParameters({ dataset: order.dataset, productId, quantity })
        .execute();
      if (taken.affected === 0) throw new OutOfStockError(productId, quantity);
    }
    const { dataset, orderId } = order;
    await manager.insert(
      ReservationEntity,
      lines.map(({ productId, quantity }) => ({ dataset, orderId, productId, quantity })),
    );
  }

  /** Puts back what the order holds, which may be nothing. */
  async release(manager: EntityManager, { dataset, orderId }: OrderKey): Promise<void> {
    const held = await manager.findBy(ReservationEntity, { dataset, orderId });
    for (const { productId, quantity } of byProduct(held)) {
      const gone = await manager.delete(ReservationEntity, { dataset, orderId, productId });
      if (gone.affected === 1)
        await manager.increment(ProductEntity, { dataset, productId }, 'stock', quantity);
    }
  }

  async list(dataset: string): Promise<ProductEntity[]> {
    return this.dataSource.manager.find(ProductEntity, { where: { dataset }, order: { productId: 'ASC' } });
  }
}

function byProduct<T extends OrderLine>(lines: readonly T[]): T[] {
  return [...lines].sort((one, other) => one.productId - other.productId);
}
