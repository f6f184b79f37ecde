/** The carrier answered with something other than yes or no; whether it ships is unknown unless `status` tells. */
export class CarrierError extends Error {
  readonly code = 'CARRIER_FAILED';

  constructor(readonly status: number) {
    super(`the carrier answered ${status}`);
  }
}
