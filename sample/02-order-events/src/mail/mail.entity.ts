import { Column, CreateDateColumn, Entity, PrimaryGeneratedColumn } from 'typeorm';

/** A mail that is to be sent. */
@Entity('mail')
export class MailEntity {
  @PrimaryGeneratedColumn()
  id!: number;

  @Column('uuid')
  orderId!: string;

  @Column('text')
  text!: string;

  @CreateDateColumn({ type: 'timestamptz' })
  at!: Date;
}
