import { Column, Entity, PrimaryColumn } from 'typeorm';

export type OrderState = 'placed' | 'completed' | 'refused';

@Entity('shop_order')
export class OrderEntity {
  @PrimaryColumn('uuid')
  orderId!: string;

  @Column('text')
  customer!: string;

  /** Cents. */
  @Column('integer')
  amount!: number;

  @Column('text')
  state!: OrderState;
}
