import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { makeCounterProvider } from '@willsoto/nestjs-prometheus';
import { CarrierModule } from '../carrier/carrier.module.js';
import { CustomersModule } from '../customers/customers.module.js';
import { StockModule } from '../stock/stock.module.js';
import { OrderDesk } from './order-desk.js';
import { OrderTrail } from './order-trail.js';
import { OrderEntity } from './order.entity.js';
import { OrderSaga } from './order.saga.js';
import { OrdersController } from './orders.controller.js';
import { ORDERS_SETTLED, OrdersService } from './orders.service.js';

const settledCounter = makeCounterProvider({
  name: ORDERS_SETTLED,
  help: 'Orders settled in this process, repeated requests included',
  labelNames: ['state'],
});

@Module({
  imports: [TypeOrmModule.forFeature([OrderEntity]), CarrierModule, CustomersModule, StockModule],
  controllers: [OrdersController],
  providers: [OrderDesk, OrderSaga, OrderTrail, OrdersService, settledCounter],
  exports: [OrderTrail, OrdersService],
})
export class OrdersModule {}
