import { NonRetryableError } from 'nestjs-sagaz';

/** A business refusal: asking again changes nothing. */
export class OutOfStockError extends NonRetryableError {
  override readonly code = 'OUT_OF_STOCK';

  constructor(productId: number, quantity: number) {
    super(`product ${productId}: fewer than ${quantity} in stock`);
  }
}
