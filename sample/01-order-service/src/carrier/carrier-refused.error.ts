import { NonRetryableError } from 'nestjs-sagaz';

/**
 * The carrier understood and declined. `status` 422 tells the saga that nothing was shipped, so the charge and
 * the reservation may be undone; the class tells it not to ask again.
 */
export class CarrierRefusedError extends NonRetryableError {
  override readonly code = 'CARRIER_REFUSED';
  readonly status = 422;

  constructor(reason: string) {
    super(`the carrier refused (422): ${reason}`);
  }
}
