import { Body, Controller, Get, Headers, HttpCode, Inject, Param, ParseUUIDPipe, Post } from '@nestjs/common';
import type { BookingView } from './booking-view.js';
import { DecisionDto, RequestBookingDto } from './bookings.dto.js';
import { BookingsService } from './bookings.service.js';

@Controller('bookings')
export class BookingsController {
  constructor(@Inject(BookingsService) private readonly bookings: BookingsService) {}

  @Post()
  @HttpCode(202)
  request(@Body() { guest, room }: RequestBookingDto): Promise<BookingView> {
    return this.bookings.request(guest, room);
  }

  @Get(':bookingId')
  find(@Param('bookingId', ParseUUIDPipe) bookingId: string): Promise<BookingView> {
    return this.bookings.find(bookingId);
  }

  @Post(':bookingId/decision')
  @HttpCode(200)
  async decide(
    @Param('bookingId', ParseUUIDPipe) bookingId: string,
    @Body() { approved, by }: DecisionDto,
    @Headers('idempotency-key') id?: string,
  ): Promise<{ duplicate: boolean }> {
    const { duplicate } = await this.bookings.decide(bookingId, { approved, by }, id);
    return { duplicate };
  }
}
