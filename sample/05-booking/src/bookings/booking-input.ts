/** What the saga of a booking is started with. */
export interface BookingInput {
  readonly bookingId: string;
  readonly guest: string;
  readonly room: number;
}

/** The signal that the hotel sends, once somebody there has decided. */
export const DECIDED = 'decided';

export interface Decision {
  readonly approved: boolean;
  readonly by: string;
}
