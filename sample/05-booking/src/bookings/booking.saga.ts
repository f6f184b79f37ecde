import { Inject } from '@nestjs/common';
import { Compensate, NonRetryableError, Saga, SagaStep } from 'nestjs-sagaz';
import type { CompensationContext, SagaContext } from 'nestjs-sagaz';
import { Mail } from '../mail/mail.js';
import { ANSWER_WITHIN, REMIND_AFTER } from '../times.js';
import { DECIDED, type BookingInput, type Decision } from './booking-input.js';
import { BookingEntity, type BookingState } from './booking.entity.js';

/**
 * Holds a room until somebody at the hotel has decided. While it waits no process has it in memory; a reminder goes out in
 * the meantime, and without an answer in time the room is free again.
 */
@Saga({ name: 'booking' })
export class BookingSaga {
  constructor(@Inject(Mail) private readonly mail: Mail) {}

  @SagaStep({ dependsOn: [], transactional: true })
  async hold(ctx: SagaContext<BookingInput>): Promise<void> {
    const taken = await ctx.manager
      .getRepository(BookingEntity)
      .createQueryBuilder('booking')
      .where("booking.room = :room AND booking.state IN ('held', 'confirmed')", { room: ctx.input.room })
      .getExists();
    // The unique index decides when two ask at once; then the step is tried again and comes here.
    if (taken) throw new NonRetryableError(`room ${ctx.input.room} is taken`);
    await become(ctx, 'held');
  }

  @Compensate('hold')
  async release(ctx: CompensationContext<BookingInput>): Promise<void> {
    await become(ctx, 'released');
  }

  @SagaStep({ dependsOn: ['hold'], delay: REMIND_AFTER, readOnly: true })
  async remind(ctx: SagaContext<BookingInput, { approve: Decision }>): Promise<void> {
    if (ctx.results.approve) return;
    const { guest, room } = ctx.input;
    await this.mail.send(ctx.idempotencyKey, `${guest} still waits for an answer about room ${room}`);
  }

  @SagaStep({ dependsOn: ['hold'], waitFor: DECIDED, waitTimeout: ANSWER_WITHIN, readOnly: true })
  approve(ctx: SagaContext<BookingInput>): Decision {
    const decision = ctx.signalPayload as Decision;
    if (!decision.approved) throw new NonRetryableError(`declined by ${decision.by}`);
    return decision;
  }

  @SagaStep({ dependsOn: ['approve'], transactional: true, readOnly: true })
  async confirm(ctx: SagaContext<BookingInput, { approve: Decision }>): Promise<void> {
    const decidedBy = ctx.results.approve?.by ?? null;
    await become(ctx, 'confirmed', { decidedBy });
  }
}

type Context = SagaContext<BookingInput> | CompensationContext<BookingInput>;

async function become(ctx: Context, state: BookingState, more: Partial<BookingEntity> = {}): Promise<void> {
  await ctx.manager.update(BookingEntity, { bookingId: ctx.input.bookingId }, { state, ...more });
}
