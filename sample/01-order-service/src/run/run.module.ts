import { Module } from '@nestjs/common';
import { OrdersModule } from '../orders/orders.module.js';
import { Batch } from './batch.js';
import { EventWatch } from './event-watch.js';
import { OrderRun } from './order-run.js';
import { SummaryService } from './summary.service.js';

@Module({
  imports: [OrdersModule],
  providers: [Batch, EventWatch, OrderRun, SummaryService],
  exports: [EventWatch, SummaryService],
})
export class RunModule {}
