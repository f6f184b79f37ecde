import { NonRetryableError } from 'nestjs-sagaz';

/** A business refusal: asking again changes nothing. */
export class CreditRefusedError extends NonRetryableError {
  override readonly code = 'CREDIT_REFUSED';

  constructor(customerId: string, amount: string) {
    super(`customer ${customerId}: the remaining credit does not cover ${amount}`);
  }
}
