import { randomUUID } from 'node:crypto';
import { ConflictException, Inject, Injectable, NotFoundException } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { SagaOrchestrator, SignalTooLateError, type SignalReceipt } from 'nestjs-sagaz';
import type { DataSource } from 'typeorm';
import { DECIDED, type BookingInput, type Decision } from './booking-input.js';
import { BookingEntity } from './booking.entity.js';
import { BookingSaga } from './booking.saga.js';
import type { BookingView } from './booking-view.js';

@Injectable()
export class BookingsService {
  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    @Inject(SagaOrchestrator) private readonly orchestrator: SagaOrchestrator,
  ) {}

  /** Booking and saga are there together, or neither is. */
  async request(guest: string, room: number): Promise<BookingView> {
    const bookingId = randomUUID();
    const input: BookingInput = { bookingId, guest, room };
    await this.dataSource.transaction(async (manager) => {
      const options = { manager, idempotencyKey: bookingId };
      const { sagaId } = await this.orchestrator.start(BookingSaga, input, options);
      await manager.insert(BookingEntity, { ...input, sagaId, state: 'requested', decidedBy: null });
    });
    return this.find(bookingId);
  }

  /**
   * @param id the same answer may come twice, and counts once
   * @throws ConflictException when the booking was confirmed or released meanwhile
   */
  async decide(bookingId: string, decision: Decision, id: string | undefined): Promise<SignalReceipt> {
    const target = { saga: BookingSaga, key: bookingId };
    try {
      return await this.orchestrator.signal(target, DECIDED, decision, { id });
    } catch (error) {
      if (error instanceof SignalTooLateError) throw new ConflictException(error.message);
      throw error;
    }
  }

  async find(bookingId: string): Promise<BookingView> {
    const booking = await this.dataSource.getRepository(BookingEntity).findOneBy({ bookingId });
    if (!booking) throw new NotFoundException(`there is no booking ${bookingId}`);
    const { sagaId, ...rest } = booking;
    const { status, error } = await this.orchestrator.get(sagaId);
    return { ...rest, saga: status, reason: error?.message ?? null };
  }
}
