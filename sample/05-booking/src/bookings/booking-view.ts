import type { SagaStatus } from 'nestjs-sagaz';
import type { BookingEntity } from './booking.entity.js';

/** A booking as HTTP answers it. */
export interface BookingView extends Omit<BookingEntity, 'sagaId'> {
  readonly saga: SagaStatus;
  /** Why it did not come to be. */
  readonly reason: string | null;
}
