import { CarrierSimulator } from '../../../sample/01-order-service/src/carrier/carrier.simulator.js';

describe('CarrierSimulator', () => {
  const carrier = new CarrierSimulator();

  beforeAll(() => carrier.onModuleInit());
  afterAll(() => carrier.onApplicationShutdown());

  const ship = (key: string, body: string) =>
    fetch(`${carrier.url}/shipments`, { method: 'POST', headers: { 'idempotency-key': key }, body });
  const parcel = (shippedDate: string | null) => JSON.stringify({ orderId: '1', shippedDate });

  it('ships once per idempotency key', async () => {
    const [first, again, other] = [
      await ship('a', parcel('2026-01-01')),
      await ship('a', parcel('2026-01-01')),
      await ship('b', parcel('2026-01-01')),
    ];
    expect([first.status, again.status, other.status]).toEqual([201, 201, 201]);
    const [one, same, another] = [await first.json(), await again.json(), await other.json()];
    expect(same).toEqual(one);
    expect(another).not.toEqual(one);
  });

  it('answers 422 to a parcel without a shipped date', async () => {
    const answer = await ship('c', parcel(null));
    expect(answer.status).toBe(422);
    expect(await answer.text()).toBe('order 1 has no shipped date');
  });

  it('answers 400 to what is no parcel', async () => {
    expect((await ship('d', 'not json')).status).toBe(400);
  });
});
