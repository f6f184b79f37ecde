/** What the carrier is asked to take. */
export interface Parcel {
  readonly orderId: string;
  readonly shippedDate: string | null;
}

/** What it answers. */
export interface Shipment {
  readonly trackingId: string;
}
