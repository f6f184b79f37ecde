import { Controller } from '@nestjs/common';
import { EventPattern, Payload } from '@nestjs/microservices';
import { InjectRepository } from '@nestjs/typeorm';
import type { Repository } from 'typeorm';
import type { OrderCompletedEvent } from './order-completed.event.js';
import { PublishedOrderEntity } from './published-order.entity.js';

/** Where another service would send the customer a message; here it notes that it was told. */
@Controller()
export class NotificationsController {
  constructor(
    @InjectRepository(PublishedOrderEntity) private readonly published: Repository<PublishedOrderEntity>,
  ) {}

  /** Events come at least once: the second delivery of one changes nothing. */
  @EventPattern<string>('order.completed')
  async orderCompleted(@Payload() { dataset, orderId }: OrderCompletedEvent): Promise<void> {
    await this.published.createQueryBuilder().insert().values({ dataset, orderId }).orIgnore().execute();
  }
}
