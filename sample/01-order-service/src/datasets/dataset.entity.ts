import { CreateDateColumn, Entity, PrimaryColumn } from 'typeorm';

/** One set of products, customers and orders that a run works on. */
@Entity('shop_dataset')
export class DatasetEntity {
  @PrimaryColumn({ type: 'text' })
  name!: string;

  @CreateDateColumn({ name: 'loaded_at', type: 'timestamptz' })
  loadedAt!: Date;
}
