import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { OrderKey } from '../orders/order-input.js';
import { ChargeEntity } from './charge.entity.js';
import { CreditRefusedError } from './credit-refused.error.js';
import { CustomerEntity } from './customer.entity.js';

@Injectable()
export class CreditService {
  /**
   * Takes the amount off the customer's credit, in one conditional UPDATE: two orders of a customer cannot both
   * spend the same money.
   *
   * @param amount decimal text with two places
   * @throws CreditRefusedError when the remaining credit does not cover it
   */
  async charge(manager: EntityManager, order: OrderKey, customerId: string, amount: string): Promise<void> {
    const { dataset, orderId } = order;
    const taken = await manager
      .createQueryBuilder()
      .update(CustomerEntity)
      .set({ credit: () => 'credit - CAST(:amount AS numeric)' })
      .where('dataset = :dataset AND customer_id = :customerId AND credit >= CAST(:amount AS numeric)')
      .setParameters({ dataset, customerId, amount })
      .execute();
    if (taken.affected === 0) throw new CreditRefusedError(customerId, amount);
    await manager.insert(ChargeEntity, { dataset, orderId, customerId, amount });
  }

  /** Gives back what the order was charged, which may be nothing. */
  async refund(manager: EntityManager, { dataset, orderId }: OrderKey): Promise<void> {
    const charge = await manager.findOneBy(ChargeEntity, { dataset, orderId });
    if (!charge) return;
    const gone = await manager.delete(ChargeEntity, { dataset, orderId });
    if (gone.affected === 0) return;
    await manager
      .createQueryBuilder()
      .update(CustomerEntity)
      .set({ credit: () => 'credit + CAST(:amount AS numeric)' })
      .where('dataset = :dataset AND customer_id = :customerId')
      .setParameters({ dataset, customerId: charge.customerId, amount: charge.amount })
      .execute();
  }
}
