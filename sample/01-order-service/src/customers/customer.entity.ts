import { Column, Entity, PrimaryColumn } from 'typeorm';

@Entity('shop_customer')
export class CustomerEntity {
  @PrimaryColumn({ type: 'text' })
  dataset!: string;

  @PrimaryColumn({ name: 'customer_id', type: 'text' })
  customerId!: string;

  @Column({ type: 'text' })
  name!: string;

  /** Decimal text: what may still be charged. */
  @Column({ type: 'numeric', precision: 20, scale: 2 })
  credit!: string;
}
