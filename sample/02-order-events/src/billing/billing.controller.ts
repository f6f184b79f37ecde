import { Controller, Get, Inject } from '@nestjs/common';
import { EventPattern, Payload } from '@nestjs/microservices';
import { InjectRepository } from '@nestjs/typeorm';
import { ConsumerInbox, IdempotentConsumer, Outbox } from 'nestjs-sagaz';
import type { Repository } from 'typeorm';
import { BILL_MADE, ORDER_COMPLETED, type OrderCompleted } from '../events.js';
import { say } from '../say.js';
import { BillEntity } from './bill.entity.js';

/** Makes one bill for each order. Message, bill and the event that it publishes are one transaction. */
@Controller('bills')
export class BillingController {
  constructor(
    @Inject(ConsumerInbox) private readonly inbox: ConsumerInbox,
    @Inject(Outbox) private readonly outbox: Outbox,
    @InjectRepository(BillEntity) private readonly bills: Repository<BillEntity>,
  ) {}

  @EventPattern<string>(ORDER_COMPLETED)
  @IdempotentConsumer('billing')
  async bill(@Payload() { orderId, customer, amount }: OrderCompleted): Promise<void> {
    const bill = await this.inbox.manager!.getRepository(BillEntity).save({ orderId, amount });
    const { billNumber } = bill;
    await this.outbox.publish({
      ...{ type: BILL_MADE, key: orderId, payload: { orderId, customer, amount, billNumber } },
    });
    say('billing', `bill ${billNumber} for ${customer}: ${(amount / 100).toFixed(2)}`);
  }

  @Get()
  list(): Promise<BillEntity[]> {
    return this.bills.find({ order: { billNumber: 'ASC' } });
  }
}
