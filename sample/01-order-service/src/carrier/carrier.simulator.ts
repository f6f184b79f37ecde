import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { Parcel, Shipment } from './parcel.js';

/**
 * Stands for a carrier on the internet: an HTTP server of its own on a free port of this machine.
 *
 * `POST /shipments` answers 201 with a tracking id, the same one for the same Idempotency-Key, or 422 for a parcel
 * without a shipped date. It outlives the drain of running sagas, as a real carrier does.
 */
@Injectable()
export class CarrierSimulator implements OnModuleInit, OnApplicationShutdown {
  private readonly shipments = new Map<string, Shipment>();
  private readonly server: Server = createServer((request, response) => {
    this.answer(request, response).catch(() => response.writeHead(400).end('not a parcel'));
  });

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async onModuleInit(): Promise<void> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
  }

  async onApplicationShutdown(): Promise<void> {
    if (!this.server.listening) return;
    const closed = once(this.server, 'close');
    this.server.close();
    this.server.closeAllConnections();
    await closed;
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parcel = (await json(request)) as Parcel;
    if (!parcel.shippedDate) {
      response.writeHead(422).end(`order ${parcel.orderId} has no shipped date`);
      return;
    }
    const key = String(request.headers['idempotency-key']);
    response.writeHead(201, { 'content-type': 'application/json' }).end(JSON.stringify(this.shipment(key)));
  }

  private shipment(key: string): Shipment {
    const known = this.shipments.get(key);
    if (known) return known;
    const shipment = { trackingId: `T${this.shipments.size + 1}` };
    this.shipments.set(key, shipment);
    return shipment;
  }
}
