import { Controller, Get, Inject } from '@nestjs/common';
import { EventPattern, Payload } from '@nestjs/microservices';
import { InjectRepository } from '@nestjs/typeorm';
import { ConsumerInbox, IdempotentConsumer } from 'nestjs-sagaz';
import type { Repository } from 'typeorm';
import { BILL_MADE, ORDER_COMPLETED, type BillMade, type OrderCompleted } from '../events.js';
import { say } from '../say.js';
import { MailEntity } from './mail.entity.js';

/** Writes to the customer, once for each event. */
@Controller('mails')
export class MailController {
  constructor(
    @Inject(ConsumerInbox) private readonly inbox: ConsumerInbox,
    @InjectRepository(MailEntity) private readonly mails: Repository<MailEntity>,
  ) {}

  @EventPattern<string>(ORDER_COMPLETED)
  @IdempotentConsumer('mail')
  async thank(@Payload() { orderId, customer }: OrderCompleted): Promise<void> {
    await this.write(orderId, `${customer}, thank you for your order`);
  }

  @EventPattern<string>(BILL_MADE)
  @IdempotentConsumer('mail')
  async sendBill(@Payload() { orderId, customer, billNumber }: BillMade): Promise<void> {
    await this.write(orderId, `${customer}, here is bill ${billNumber}`);
  }

  @Get()
  list(): Promise<MailEntity[]> {
    return this.mails.find({ order: { id: 'ASC' } });
  }

  private async write(orderId: string, text: string): Promise<void> {
    await this.inbox.manager!.insert(MailEntity, { orderId, text });
    say('mail', text);
  }
}
