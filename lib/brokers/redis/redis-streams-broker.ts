import type { Redis } from 'ioredis';
import type { PublishItem, PublishOutcome, PublishOutcomes } from '../../events/publish.js';
import { errorText } from '../../runtime/error-text.js';
import { cloudEvent, type Envelope } from '../envelope.js';
import { Link } from '../link.js';
import { MessageBroker } from '../message-broker.js';
import { beforeAbort, OK, rejected, retryable, untold, type OpenOutcomes } from '../outcomes.js';
import { connectRedis, end, isDeniedKey, isDown, probe, unavailable } from './redis-connect.js';
import {
  resolveRedisOptions,
  type RedisStreamsBrokerOptions,
  type ResolvedRedisOptions,
} from './redis-options.js';
import { StreamTrimmer } from './stream-trimmer.js';

/** Events that go out together; of these the outcomes are known together. */
const CHUNK = 250;

/**
 * Appends to Redis streams, one for each event type, in a pipeline. `ok` means that Redis has the entry in its memory; whether
 * it survives a crash is up to its `appendonly` and `appendfsync`. Needs Redis 6.2 and the package `ioredis`, version 5.
 */
export class RedisStreamsBroker extends MessageBroker {
  readonly kind = 'redis';
  private readonly options: ResolvedRedisOptions;
  private readonly link: Link<Redis>;
  private readonly trimmer = new StreamTrimmer();

  /** @throws SagazOptionsError */
  constructor(options: RedisStreamsBrokerOptions) {
    super();
    this.options = resolveRedisOptions(options);
    this.link = new Link({
      open: () => connectRedis(this.options),
      end: async (client) => end(client),
    });
  }

  /** @throws BrokerUnavailableError MissingPeerError */
  async connect(): Promise<void> {
    await this.client();
  }

  async publish(batch: readonly PublishItem[], signal: AbortSignal): Promise<PublishOutcomes> {
    const appending: Appending = { batch, outcomes: batch.map(() => undefined), signal, fault: undefined };
    const client = await beforeAbort(this.client(), signal);
    if (client) await this.append(client, appending);
    const { outcomes, fault } = appending;
    if (fault !== undefined && untold(outcomes)) throw unavailable(this.options, fault);
    return [...outcomes];
  }

  /** Resolves when the server takes writes. @throws BrokerUnavailableError */
  async ping(): Promise<void> {
    const client = await this.client();
    await probe(client, this.options).catch((error: unknown) => {
      throw unavailable(this.options, error);
    });
  }

  async close(): Promise<void> {
    await this.trimmer.settled();
    await this.link.close();
  }

  private async append(client: Redis, appending: Appending): Promise<void> {
    const { batch, outcomes, signal } = appending;
    // All of them are sent at once; Redis answers in order.
    const chunks = Array.from({ length: Math.ceil(batch.length / CHUNK) }, async (_, index) => {
      const first = index * CHUNK;
      const errors = await this.pipelined(client, batch.slice(first, first + CHUNK));
      appending.fault ??= errors.find((error) => error !== null && isDown(error)) ?? undefined;
      errors.forEach((error, offset) => (outcomes[first + offset] = this.outcomeOf(error)));
      return true;
    });
    const ended = await beforeAbort(Promise.all(chunks), signal);
    // Nobody can tell what becomes of the rest: a connection that does not answer is not used again.
    if (!ended) this.link.drop(client);
    if (!ended || !this.options.trim) return;
    const published = batch.filter((_, index) => outcomes[index] === OK);
    this.trimmer.trim(client, new Set(published.map(({ type }) => this.streamOf(type))));
  }

  /** @returns for each event the error that Redis answered with, null for none */
  private async pipelined(client: Redis, items: readonly PublishItem[]): Promise<(Error | null)[]> {
    const pipeline = client.pipeline();
    for (const item of items)
      pipeline.xadd(this.streamOf(item.type), '*', ...fieldsOf(item, this.options.envelope));
    const results = (await pipeline.exec()) ?? [];
    return items.map((_, index) => results[index]?.[0] ?? (results[index] ? null : NO_REPLY));
  }

  private outcomeOf(error: Error | null): PublishOutcome | undefined {
    if (error === null) return OK;
    const text = errorText(error);
    if (isDown(error)) return undefined;
    if (isDeniedKey(text)) return rejected('unauthorised');
    if (text.startsWith('WRONGTYPE')) return rejected('unroutable');
    return retryable(unavailable(this.options, error).message);
  }

  private streamOf(type: string): string {
    return `${this.options.streamPrefix}${type}`;
  }

  /** The open connection, else a new one. */
  private async client(): Promise<Redis> {
    const client = await this.link.get();
    if (client.status === 'ready') return client;
    this.link.drop(client);
    return this.link.get();
  }
}

interface Appending {
  readonly batch: readonly PublishItem[];
  readonly outcomes: OpenOutcomes;
  readonly signal: AbortSignal;
  /** Why the server as a whole did not take something. */
  fault: Error | undefined;
}

const NO_REPLY = new Error('no reply');

function fieldsOf(item: PublishItem, envelope: Envelope): string[] {
  const { headers } = item;
  const rest = ['headers', JSON.stringify(headers)];
  if (envelope === 'cloudevents') return ['event', cloudEvent(item, headers), ...rest];
  const data = ['data', item.payload, ...rest];
  return envelope === 'plain' ? data : ['pattern', item.type, ...data];
}
