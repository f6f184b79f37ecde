import type { ClientProxy } from '@nestjs/microservices';
import { lastValueFrom, type Subscription } from 'rxjs';
import type { PublishItem, PublishOutcome, PublishOutcomes } from '../../events/publish.js';
import { shardOf } from '../../events/shard.js';
import { errorText } from '../../runtime/error-text.js';
import { groupBy } from '../../runtime/group-by.js';
import { Place, section, type Reader } from '../../runtime/readers.js';
import { BrokerUnavailableError, SagazOptionsError } from '../../saga/state/errors.js';
import { cloudEventAttributes, envelope, type Envelope, type EnvelopeOptions } from '../envelope.js';
import { MessageBroker } from '../message-broker.js';
import { beforeAbort, OK, retryable } from '../outcomes.js';

/** Options of {@link ClientProxyBroker}. */
export interface ClientProxyBrokerOptions extends EnvelopeOptions {
  /** A client of `@nestjs/microservices`, such as `ClientProxyFactory.create(...)` makes. Closed with the broker. */
  client: ClientProxy;
}

const read = section({ envelope: envelope(), client: clientProxy() });

/**
 * Publishes through a client of `@nestjs/microservices`, for transports that have no broker of their own here (NATS, MQTT, TCP,
 * gRPC). `ok` means what that client takes for sent, which is often no more than written to a socket: what is in flight
 * when the connection breaks may be lost. With `nest` and `plain` consumers get the payload alone, without the event's id;
 * with `cloudevents` a CloudEvent. An event without payload (`null`) cannot be sent with the first two.
 */
export class ClientProxyBroker extends MessageBroker {
  readonly kind = 'client-proxy';
  private readonly client: ClientProxy;
  private readonly envelope: Envelope;
  private status: string | undefined;
  private watching: Subscription | undefined;
  private closed = false;

  /** @throws SagazOptionsError */
  constructor(options: ClientProxyBrokerOptions) {
    super();
    const faults: string[] = [];
    const { client, envelope } = read(options, new Place('', faults));
    if (!client || faults.length > 0) throw new SagazOptionsError(faults, 'ClientProxyBroker');
    [this.client, this.envelope] = [client, envelope];
  }

  /** @throws BrokerUnavailableError */
  async connect(): Promise<void> {
    if (this.closed) throw this.unavailable(new Error('the broker was closed'));
    this.watching ??= this.client.status.subscribe((status: string) => (this.status = status));
    await this.client.connect().catch((error: unknown) => {
      throw this.unavailable(error);
    });
  }

  async publish(batch: readonly PublishItem[], signal: AbortSignal): Promise<PublishOutcomes> {
    const outcomes = new Map<PublishItem, PublishOutcome>();
    const lanes = [...groupBy(batch, ({ key }) => shardOf(key)).values()];
    const work = this.connect().then(() =>
      Promise.all(lanes.map((lane) => this.sendLane(lane, outcomes, signal))),
    );
    await beforeAbort(work, signal);
    return batch.map((item) => outcomes.get(item));
  }

  /** Resolves when the client is connected, as far as it tells. @throws BrokerUnavailableError */
  async ping(): Promise<void> {
    await this.connect();
    if (this.status !== undefined && this.status !== 'connected')
      throw this.unavailable(new Error(`the client is ${this.status}`));
  }

  async close(): Promise<void> {
    this.closed = true;
    this.watching?.unsubscribe();
    await this.client.close();
  }

  /** One after the other, for the order of keys; after a failure the rest of the lane waits for the next time. */
  private async sendLane(
    lane: readonly PublishItem[],
    outcomes: Map<PublishItem, PublishOutcome>,
    signal: AbortSignal,
  ): Promise<void> {
    for (const item of lane) {
      if (signal.aborted) return;
      const outcome = await this.send(item);
      outcomes.set(item, outcome);
      if (outcome.status === 'retryable') return;
    }
  }

  private async send(item: PublishItem): Promise<PublishOutcome> {
    const payload: unknown = JSON.parse(item.payload);
    if (payload === null && this.envelope !== 'cloudevents') return NO_PAYLOAD;
    const data =
      this.envelope === 'cloudevents'
        ? { ...cloudEventAttributes(item, item.headers), data: payload }
        : payload;
    try {
      await lastValueFrom(this.client.emit(item.type, data), { defaultValue: undefined });
      return OK;
    } catch (error) {
      return retryable(this.unavailable(error).message);
    }
  }

  private unavailable(error: unknown): BrokerUnavailableError {
    return new BrokerUnavailableError(
      this.client.constructor.name,
      errorText(error).replace(CREDENTIALS, '//'),
    );
  }
}

const NO_PAYLOAD: PublishOutcome = { status: 'rejected', reason: 'no_payload' };
/** Of a URL in the error of some client. */
const CREDENTIALS = /\/\/[^/@\s]*@/g;

function clientProxy(): Reader<ClientProxy | undefined> {
  return (value, place) => {
    const { emit, connect } = Object(value) as Partial<ClientProxy>;
    if (typeof emit === 'function' && typeof connect === 'function') return value as ClientProxy;
    place.expected('a client of @nestjs/microservices', value, undefined);
    return undefined;
  };
}
