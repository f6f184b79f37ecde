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
 * without a shipped date. `GET /shipments/KEY` answers with what was shipped under the key, or 404. It outlives the drain of running sagas, as a real carrier does.
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
    if (request.method === 'GET') {
      this.answerWithKnown(decodeURIComponent(request.url?.split('/').at(-1) ?? ''), response);
      return;
    }
    const parcel = (await json(request)) as Parcel;
    if (!parcel.shippedDate) {
      response.writeHead(422).end(`order ${parcel.orderId} has no shipped date`);
      return;
    }
    const key = String(request.headers['idempotency-key']);
    response.writeHead(201, { 'content-type': 'application/json' }).end(JSON.stringify(this.shipment(key)));
  }

  private answerWithKnown(key: string, response: ServerResponse): void {
    const known = this.shipments.get(key);
    response
      .writeHead(known ? 200 : 404, { 'content-type': 'application/json' })
      .end(JSON.stringify(known ?? null));
  }

  private shipment(key: string): Shipment {
    const known = this.shipments.get(key);
    if (known) return known;
    const shipment = { trackingId: `T${this.shipments.size + 1}` };
    this.shipments.set(key, shipment);
    return shipment;
  }
}
