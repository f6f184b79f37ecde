import { Column, Entity, PrimaryColumn } from 'typeorm';

/** What an order has taken out of the stock. It stays when the order is completed, and goes when it is undone. */
@Entity('shop_reservation')
export class ReservationEntity {
  @PrimaryColumn({ type: 'text' })
  dataset!: string;

  @PrimaryColumn({ name: 'order_id', type: 'text' })
  orderId!: string;

  @PrimaryColumn({ name: 'product_id', type: 'integer' })
  productId!: number;

  @Column({ type: 'integer' })
  quantity!: number;
}
