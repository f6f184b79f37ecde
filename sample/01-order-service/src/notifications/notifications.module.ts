import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { NotificationsController } from './notifications.controller.js';
import { PublishedOrderEntity } from './published-order.entity.js';

@Module({
  imports: [TypeOrmModule.forFeature([PublishedOrderEntity])],
  controllers: [NotificationsController],
})
export class NotificationsModule {}
