import { setTimeout as sleep } from 'node:timers/promises';
import type { BookingView } from './bookings/booking-view.js';

const PAUSE_MS = 100;

/** Three bookings, told as they happen: one is answered at once, one after a reminder, one never. */
export async function tellStory(url: string): Promise<void> {
  const hotel = new Hotel(url);
  const firstRoom = 1 + Math.floor(Math.random() * 1_000_000);
  await Promise.all([atOnce(hotel, firstRoom), reminded(hotel, firstRoom + 1), inVain(hotel, firstRoom + 2)]);
}

async function atOnce(hotel: Hotel, room: number): Promise<void> {
  const { bookingId } = await hotel.request('Ada', room);
  await hotel.decide(bookingId, 'answer-1', true);
  const again = await hotel.decide(bookingId, 'answer-1', true);
  say('Ada', `the hotel's answer came twice, and counts once (duplicate: ${String(again.body.duplicate)})`);
  await hotel.ends('Ada', bookingId);
}

async function reminded(hotel: Hotel, room: number): Promise<void> {
  const { bookingId } = await hotel.request('Ben', room);
  await sleep(3_000);
  await hotel.decide(bookingId, 'answer-2', true);
  await hotel.ends('Ben', bookingId);
}

async function inVain(hotel: Hotel, room: number): Promise<void> {
  const { bookingId } = await hotel.request('Cy', room);
  await hotel.ends('Cy', bookingId);
  const late = await hotel.decide(bookingId, 'answer-3', true);
  say('Cy', `the answer comes at last: ${late.status}, ${late.body.message}`);
}

interface Answer {
  readonly status: number;
  readonly body: { readonly duplicate?: boolean; readonly message?: string };
}

/** The booking service, as others see it over HTTP. */
class Hotel {
  constructor(private readonly url: string) {}

  async request(guest: string, room: number): Promise<BookingView> {
    const { body } = await this.post('/bookings', { guest, room });
    const booking = body as unknown as BookingView;
    say(guest, `asks for a room: ${booking.state}`);
    return booking;
  }

  decide(bookingId: string, id: string, approved: boolean): Promise<Answer> {
    return this.post(
      `/bookings/${bookingId}/decision`,
      { approved, by: 'the desk' },
      { 'idempotency-key': id },
    );
  }

  /** Says what the booking becomes, as soon as it is that. */
  async ends(guest: string, bookingId: string): Promise<void> {
    for (;;) {
      const booking = await this.find(bookingId);
      if (booking.state === 'confirmed') {
        say(guest, `confirmed by ${booking.decidedBy}`);
        return;
      }
      if (booking.saga === 'compensated') {
        // The booking was read before its saga, which may have ended in between.
        const { state, reason } = await this.find(bookingId);
        say(guest, `${state}: ${reason}`);
        return;
      }
      await sleep(PAUSE_MS);
    }
  }

  private async find(bookingId: string): Promise<BookingView> {
    return (await (await fetch(`${this.url}/bookings/${bookingId}`)).json()) as BookingView;
  }

  private async post(path: string, body: object, headers: Record<string, string> = {}): Promise<Answer> {
    const response = await fetch(this.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
    return { status: response.status, body: (await response.json()) as Answer['body'] };
  }
}

function say(guest: string, text: string): void {
  process.stdout.write(`  ${guest.padEnd(6)}  ${text}\n`);
}
