import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { SagazModule } from 'nestjs-sagaz';
import { BookingEntity } from './bookings/booking.entity.js';
import { BookingSaga } from './bookings/booking.saga.js';
import { BookingsController } from './bookings/bookings.controller.js';
import { BookingsService } from './bookings/bookings.service.js';
import { Mail } from './mail/mail.js';

@Module({
  imports: [
    TypeOrmModule.forRootAsync({
      useFactory: () => ({
        type: 'postgres',
        url: process.env['DATABASE_URL'] ?? '',
        entities: [BookingEntity],
        // For a sample of one table; an application has migrations.
        synchronize: true,
      }),
    }),
    SagazModule.forRoot({ migrations: 'run', worker: { lease: '3s' } }),
  ],
  controllers: [BookingsController],
  providers: [BookingsService, BookingSaga, Mail],
})
export class AppModule {}
