import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { ChargeEntity } from './charge.entity.js';
import { CreditService } from './credit.service.js';
import { CustomerEntity } from './customer.entity.js';

@Module({
  imports: [TypeOrmModule.forFeature([ChargeEntity, CustomerEntity])],
  providers: [CreditService],
  exports: [CreditService, TypeOrmModule],
})
export class CustomersModule {}
