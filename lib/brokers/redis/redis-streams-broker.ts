import type { Redis } from 'ioredis';
import type { PublishItem, PublishOutcome } from '../../events/publish.js';
import { errorText } from '../../runtime/error-text.js';
import { cloudEvent, type Envelope } from '../envelope.js';
import { Link } from '../link.js';
import { MessageBroker } from '../message-broker.js';
import { beforeAbort, OK, rejected, retryable, TIMED_OUT, type OpenOutcomes } from '../outcomes.js';
import { connectRedis, end, isDeniedKey, probe, unavailable } from './redis-connect.js';
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

  async publish(batch: readonly PublishItem[], signal: AbortSignal): Promise<readonly PublishOutcome[]> {
    const outcomes: OpenOutcomes = batch.map(() => undefined);
    try {
      const client = await beforeAbort(this.client(), signal);
      if (client) await this.append(client, { batch, outcomes, signal });
    } catch (error) {
      const outcome = retryable(errorText(error));
      return outcomes.map((known) => known ?? outcome);
    }
    return outcomes.map((known) => known ?? TIMED_OUT);
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

  private async append(client: Redis, { batch, outcomes, signal }: Appending): Promise<void> {
    // All of them are sent at once; Redis answers in order.
    const chunks = Array.from({ length: Math.ceil(batch.length / CHUNK) }, async (_, index) => {
      const first = index * CHUNK;
      const results = await this.pipelined(client, batch.slice(first, first + CHUNK));
      results.forEach((outcome, offset) => (outcomes[first + offset] = outcome));
      return true;
    });
    const ended = await beforeAbort(Promise.all(chunks), signal);
    // Nobody can tell what becomes of the rest: a connection that does not answer is not used again.
    if (!ended) this.link.drop(client);
    if (!ended || !this.options.trim) return;
    const published = batch.filter((_, index) => outcomes[index] === OK);
    this.trimmer.trim(client, new Set(published.map(({ type }) => this.streamOf(type))));
  }

  private async pipelined(client: Redis, items: readonly PublishItem[]): Promise<PublishOutcome[]> {
    const pipeline = client.pipeline();
    for (const item of items)
      pipeline.xadd(this.streamOf(item.type), '*', ...fieldsOf(item, this.options.envelope));
    const results = (await pipeline.exec()) ?? [];
    return items.map((_, index) => this.outcomeOf(results[index]?.[0]));
  }

  private outcomeOf(error: Error | null | undefined): PublishOutcome {
    if (error === null) return OK;
    const text = errorText(error ?? 'no reply');
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
}

function fieldsOf(item: PublishItem, envelope: Envelope): string[] {
  const { headers } = item;
  const rest = ['headers', JSON.stringify(headers)];
  if (envelope === 'cloudevents') return ['event', cloudEvent(item, headers), ...rest];
  const data = ['data', item.payload, ...rest];
  return envelope === 'plain' ? data : ['pattern', item.type, ...data];
}
