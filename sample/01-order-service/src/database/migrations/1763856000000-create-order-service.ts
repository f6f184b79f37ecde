import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The sample's own tables. Every row belongs to a dataset, so runs over different orders live side by side.
 *
 * `shop_reservation` and `shop_charge` say what an order holds at the moment: an undo deletes its rows and gives
 * back what they held, so it does nothing where nothing was taken, and nothing the second time.
 */
export class CreateOrderService1763856000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const statement of TABLES) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(
      'DROP TABLE published_order, shop_charge, shop_reservation, shop_order, shop_customer, shop_product, shop_dataset',
    );
  }
}

const DATASET = 'dataset text NOT NULL REFERENCES shop_dataset (name) ON DELETE CASCADE';

const TABLES = [
  `CREATE TABLE shop_dataset (
    name text PRIMARY KEY,
    loaded_at timestamptz NOT NULL DEFAULT clock_timestamp()
  )`,
  `CREATE TABLE shop_product (
    ${DATASET},
    product_id integer NOT NULL,
    name text NOT NULL,
    unit_price numeric NOT NULL CHECK (unit_price >= 0),
    stock integer NOT NULL CHECK (stock >= 0),
    PRIMARY KEY (dataset, product_id)
  )`,
  `CREATE TABLE shop_customer (
    ${DATASET},
    customer_id text NOT NULL,
    name text NOT NULL,
    credit numeric(20, 2) NOT NULL CHECK (credit >= 0),
    PRIMARY KEY (dataset, customer_id)
  )`,
  `CREATE TABLE shop_order (
    ${DATASET},
    order_id text NOT NULL,
    position bigint GENERATED ALWAYS AS IDENTITY,
    customer_id text NOT NULL,
    total numeric(20, 2) NOT NULL,
    shipped_date text,
    lines jsonb NOT NULL,
    state text NOT NULL DEFAULT 'placed' CHECK (state IN (
      'placed', 'completed', 'outOfStock', 'creditRefused', 'carrierRefused', 'undone', 'failed', 'parked')),
    failed_step text,
    reason text,
    saga_id text,
    placed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (dataset, order_id)
  )`,
  `CREATE TABLE shop_reservation (
    ${DATASET},
    order_id text NOT NULL,
    product_id integer NOT NULL,
    quantity integer NOT NULL,
    PRIMARY KEY (dataset, order_id, product_id)
  )`,
  `CREATE TABLE shop_charge (
    ${DATASET},
    order_id text NOT NULL,
    customer_id text NOT NULL,
    amount numeric(20, 2) NOT NULL,
    PRIMARY KEY (dataset, order_id)
  )`,
  `CREATE TABLE published_order (
    ${DATASET},
    order_id text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (dataset, order_id)
  )`,
];
