import { Column, CreateDateColumn, Entity, PrimaryColumn } from 'typeorm';
import type { OrderLine } from '../datasets/order-data.js';
import type { OrderState } from './order-state.js';

@Entity('shop_order')
export class OrderEntity {
  @PrimaryColumn({ type: 'text' })
  dataset!: string;

  @PrimaryColumn({ name: 'order_id', type: 'text' })
  orderId!: string;

  /** Orders are taken in this sequence. */
  @Column({ type: 'bigint', insert: false, update: false })
  position!: string;

  @Column({ name: 'customer_id', type: 'text' })
  customerId!: string;

  /** Decimal text. */
  @Column({ type: 'numeric', precision: 20, scale: 2 })
  total!: string;

  @Column({ name: 'shipped_date', type: 'text', nullable: true })
  shippedDate!: string | null;

  @Column({ type: 'jsonb' })
  lines!: OrderLine[];

  @Column({ type: 'text', default: 'placed' })
  state!: OrderState;

  /** The step that did not succeed, when the order was not completed. */
  @Column({ name: 'failed_step', type: 'text', nullable: true })
  failedStep!: string | null;

  /** Why it did not. */
  @Column({ type: 'text', nullable: true })
  reason!: string | null;

  @Column({ name: 'saga_id', type: 'text', nullable: true })
  sagaId!: string | null;

  @CreateDateColumn({ name: 'placed_at', type: 'timestamptz' })
  placedAt!: Date;
}
