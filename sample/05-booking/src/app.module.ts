import { Module, type DynamicModule } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { SagazModule } from 'nestjs-sagaz';
import { BookingEntity } from './bookings/booking.entity.js';
import { BookingSaga } from './bookings/booking.saga.js';
import { BookingsController } from './bookings/bookings.controller.js';
import { BookingsService } from './bookings/bookings.service.js';
import type { Config } from './config.js';
import { Mail } from './mail/mail.js';

@Module({})
export class AppModule {
  static with({ DATABASE_URL: url }: Config): DynamicModule {
    return {
      module: AppModule,
      imports: [
        // synchronize: for a sample of one table; an application has migrations.
        TypeOrmModule.forRoot({ type: 'postgres', url, entities: [BookingEntity], synchronize: true }),
        SagazModule.forRoot({ migrations: 'run', worker: { lease: '3s' } }),
      ],
      controllers: [BookingsController],
      providers: [BookingsService, BookingSaga, Mail],
    };
  }
}
