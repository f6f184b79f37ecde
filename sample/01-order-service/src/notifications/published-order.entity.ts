import { CreateDateColumn, Entity, PrimaryColumn } from 'typeorm';

/** An order whose `order.completed` event reached the handler; a repeated delivery leaves one row. */
@Entity('published_order')
export class PublishedOrderEntity {
  @PrimaryColumn({ type: 'text' })
  dataset!: string;

  @PrimaryColumn({ name: 'order_id', type: 'text' })
  orderId!: string;

  @CreateDateColumn({ name: 'received_at', type: 'timestamptz' })
  receivedAt!: Date;
}
