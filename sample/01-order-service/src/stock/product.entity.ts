import { Column, Entity, PrimaryColumn } from 'typeorm';

@Entity('shop_product')
export class ProductEntity {
  @PrimaryColumn({ type: 'text' })
  dataset!: string;

  @PrimaryColumn({ name: 'product_id', type: 'integer' })
  productId!: number;

  @Column({ type: 'text' })
  name!: string;

  /** Decimal text. */
  @Column({ name: 'unit_price', type: 'numeric' })
  unitPrice!: string;

  /** Units that are neither sold nor reserved. */
  @Column({ type: 'integer' })
  stock!: number;
}
