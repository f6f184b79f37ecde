import { Column, Entity, PrimaryColumn } from 'typeorm';

/** What an order has taken of its customer's credit. It stays when the order is completed, and goes when it is undone. */
@Entity('shop_charge')
export class ChargeEntity {
  @PrimaryColumn({ type: 'text' })
  dataset!: string;

  @PrimaryColumn({ name: 'order_id', type: 'text' })
  orderId!: string;

  @Column({ name: 'customer_id', type: 'text' })
  customerId!: string;

  /** Decimal text. */
  @Column({ type: 'numeric', precision: 20, scale: 2 })
  amount!: string;
}
