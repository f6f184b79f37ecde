import request from 'supertest';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { describeWith } from '../support/requirement.js';
import { until } from '../support/until.js';
import { SampleProcess } from './sample.process.js';

interface Booking {
  readonly bookingId: string;
  readonly state: string;
  readonly saga: string;
  readonly reason: string | null;
  readonly decidedBy: string | null;
}

describeWith('postgres', 'sample 05-booking: npm run sample:booking', () => {
  let database: TestDatabase;
  let sample: SampleProcess;
  let url: string;

  const started = async () => {
    sample = new SampleProcess('booking', [], { DATABASE_URL: database.url });
    url = (await sample.prints(/Listening on (http:\S+), /))[1]!;
  };
  beforeAll(async () => {
    database = await createDatabase();
    await started();
  });
  afterAll(async () => {
    SampleProcess.killAll();
    await database.drop();
  });

  const book = async (room: number) =>
    (await request(url).post('/bookings').send({ guest: 'Dot', room }).expect(202)).body as Booking;
  const find = async (id: string) => (await request(url).get(`/bookings/${id}`).expect(200)).body as Booking;
  const decide = (id: string, approved: boolean) =>
    request(url).post(`/bookings/${id}/decision`).send({ approved, by: 'the desk' });
  const ended = async (id: string) => {
    await until(async () => ['completed', 'compensated'].includes((await find(id)).saga));
    return find(id);
  };

  it('tells of three bookings', () => {
    const lines = sample.stdout.split('\n').map((line) => line.trim().replace(/\d{3,}/, 'N'));
    for (const line of [
      "Ada     the hotel's answer came twice, and counts once (duplicate: true)",
      'Ada     confirmed by the desk',
      'mail    Ben still waits for an answer about room N',
      'Ben     confirmed by the desk',
      'mail    Cy still waits for an answer about room N',
    ])
      expect(lines).toContain(line);
    expect(sample.stdout).toMatch(/Cy {6}released: .*the signal "decided" did not come within 6000 ms/);
    expect(sample.stdout).toMatch(/Cy {6}the answer comes at last: 409, .* came too late/);
    expect(sample.stdout).not.toMatch(/mail {4}Ada/);
    expect(sample.stderr).toBe('');
  });

  it('refuses wrong variables with their names, and without what they hold', async () => {
    const wrong = { DATABASE_URL: 'mysql://root:secret-word@db/x', PORT: 'many' };
    const { code, stderr, stdout } = await new SampleProcess('booking', [], wrong).ended;
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr.match(/^[A-Z_]+: /gm)).toEqual(['DATABASE_URL: ', 'PORT: ']);
    expect(stderr).not.toContain('secret-word');
  });

  it('releases a room that the hotel declines, and gives it to the next guest', async () => {
    const { bookingId } = await book(7);
    await until(async () => (await find(bookingId)).saga === 'waiting');
    expect(await find(bookingId)).toMatchObject({ state: 'held', reason: null });
    const other = await book(7);
    expect(await ended(other.bookingId)).toMatchObject({ state: 'requested', reason: 'room 7 is taken' });
    await decide(bookingId, false).expect(200, { duplicate: false });
    expect(await ended(bookingId)).toMatchObject({ state: 'released', reason: 'declined by the desk' });
    const { bookingId: next } = await book(7);
    await until(async () => (await find(next)).state === 'held');
    await decide(next, true).expect(200);
    expect(await ended(next)).toMatchObject({ state: 'confirmed', decidedBy: 'the desk' });
    await decide(next, true).expect(409);
  });

  it('goes on after kill -9 where it waited', async () => {
    const { bookingId } = await book(8);
    await until(async () => (await find(bookingId)).saga === 'waiting');
    sample.kill('SIGKILL');
    await sample.ended;
    await started();
    // Its reminder and its end are due whether or not a process was there.
    expect(await ended(bookingId)).toMatchObject({ state: 'released', saga: 'compensated' });
  });

  it('refuses wrong requests, naming the field', async () => {
    const refused = await request(url).post('/bookings').send({ guest: '', room: 0 }).expect(400);
    expect((refused.body as { message: string[] }).message.join()).toMatch(/guest .*room /);
    await request(url).get('/bookings/nobody').expect(400);
    await decide('01a21935-bc01-7dad-8713-e609be169898', true).expect(404);
  });
});
