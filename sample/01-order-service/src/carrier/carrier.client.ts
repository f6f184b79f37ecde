import { Inject, Injectable } from '@nestjs/common';
import { CarrierRefusedError } from './carrier-refused.error.js';
import { CarrierError } from './carrier.error.js';
import { CarrierSimulator } from './carrier.simulator.js';
import type { Parcel, Shipment } from './parcel.js';

export interface ShipOptions {
  /** The carrier ships once per key, however often it is asked. */
  readonly idempotencyKey: string;
  readonly signal: AbortSignal;
}

/** The external carrier, over HTTP. */
@Injectable()
export class CarrierClient {
  constructor(@Inject(CarrierSimulator) private readonly carrier: CarrierSimulator) {}

  /**
   * @throws CarrierRefusedError when the carrier will not take this parcel
   * @throws CarrierError for any other answer
   * @throws what `fetch` throws when there is no answer
   */
  async ship(parcel: Parcel, { idempotencyKey, signal }: ShipOptions): Promise<Shipment> {
    const response = await fetch(`${this.carrier.url}/shipments`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': idempotencyKey },
      body: JSON.stringify(parcel),
      signal,
    });
    const text = await response.text();
    if (response.status === 422) throw new CarrierRefusedError(text);
    if (!response.ok) throw new CarrierError(response.status);
    return JSON.parse(text) as Shipment;
  }

  /**
   * What the carrier shipped under this key; undefined when it has nothing.
   * @throws CarrierError, or what `fetch` throws: then it is not known
   */
  async find({ idempotencyKey, signal }: ShipOptions): Promise<Shipment | undefined> {
    const url = `${this.carrier.url}/shipments/${encodeURIComponent(idempotencyKey)}`;
    const response = await fetch(url, { signal });
    if (response.status === 404) return undefined;
    if (!response.ok) throw new CarrierError(response.status);
    return (await response.json()) as Shipment;
  }
}
