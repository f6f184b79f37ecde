import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { BadRequestException, ConflictException, Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { In, type Repository } from 'typeorm';
import { CustomerEntity } from '../customers/customer.entity.js';
import type { NewOrder } from '../datasets/order-data.js';
import { ProductEntity } from '../stock/product.entity.js';
import type { OrderLineDto } from './dto/order-line.dto.js';
import type { PlaceOrderDto } from './dto/place-order.dto.js';
import { mergeLines } from './order-lines.js';
import { orderTotal } from './order-total.js';
import { OrderEntity } from './order.entity.js';

/** Takes orders in: checks them against the shop, prices them, and writes them down before their saga starts. */
@Injectable()
export class OrderDesk {
  constructor(
    @InjectRepository(OrderEntity) private readonly orders: Repository<OrderEntity>,
    @InjectRepository(ProductEntity) private readonly products: Repository<ProductEntity>,
    @InjectRepository(CustomerEntity) private readonly customers: Repository<CustomerEntity>,
  ) {}

  /**
   * Writes the order down. Asked a second time for the same order id, it returns what was written the first time.
   *
   * @throws BadRequestException for an unknown customer or product
   * @throws ConflictException when the order id stands for another order
   */
  async take(dataset: string, body: PlaceOrderDto): Promise<OrderEntity> {
    await this.checkCustomer(dataset, body.customerId);
    const order = await this.price(dataset, body);
    const values = this.orders.create({ dataset, ...order, lines: [...order.lines] });
    await this.orders.createQueryBuilder().insert().values(values).orIgnore().updateEntity(false).execute();
    const stored = await this.orders.findOneByOrFail({ dataset, orderId: order.orderId });
    if (!isSameOrder(stored, order)) {
      throw new ConflictException(`order ${order.orderId} was placed before with other contents`);
    }
    return stored;
  }

  private async checkCustomer(dataset: string, customerId: string): Promise<void> {
    const known = await this.customers.existsBy({ dataset, customerId });
    if (!known) throw new BadRequestException([`customerId: there is no customer ${customerId}`]);
  }

  private async price(dataset: string, body: PlaceOrderDto): Promise<NewOrder> {
    const prices = await this.prices(dataset, body.lines);
    const { orderId = randomUUID(), customerId, shippedDate } = body;
    const total = orderTotal(
      body.lines.map(({ productId, quantity, discount = 0 }) => ({
        unitPrice: prices.get(productId) ?? '0',
        quantity,
        discount: String(discount),
      })),
    );
    return { orderId, customerId, shippedDate, total, lines: mergeLines(body.lines) };
  }

  private async prices(dataset: string, lines: readonly OrderLineDto[]): Promise<Map<number, string>> {
    const ids = lines.map((line) => line.productId);
    const found = await this.products.findBy({ dataset, productId: In(ids) });
    const prices = new Map(found.map((product) => [product.productId, product.unitPrice]));
    const faults = ids.flatMap((id, index) =>
      prices.has(id) ? [] : [`lines.${index}.productId: there is no product ${id}`],
    );
    if (faults.length > 0) throw new BadRequestException(faults);
    return prices;
  }
}

function isSameOrder(stored: OrderEntity, asked: NewOrder): boolean {
  const { orderId, customerId, shippedDate, total, lines } = stored;
  return isDeepStrictEqual({ orderId, customerId, shippedDate, total, lines }, asked);
}
