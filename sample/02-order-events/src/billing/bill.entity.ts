import { Column, Entity, PrimaryGeneratedColumn } from 'typeorm';

/** There is deliberately no unique index on the order: that each is billed once is up to the inbox. */
@Entity('bill')
export class BillEntity {
  @PrimaryGeneratedColumn()
  billNumber!: number;

  @Column('uuid')
  orderId!: string;

  /** Cents. */
  @Column('integer')
  amount!: number;
}
