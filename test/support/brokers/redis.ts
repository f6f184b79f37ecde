import { Redis } from 'ioredis';
import type { ReceivedMessage } from '../../conformance/broker.contract.js';
import { until } from '../until.js';

/** Reads streams beside the library. */
export class RedisListener {
  readonly client: Redis;
  private readonly streams = new Set<string>();

  constructor(
    url: string,
    private readonly prefix: string,
  ) {
    this.client = new Redis(url);
  }

  /** Every entry, as its fields. */
  async entries(type: string): Promise<Record<string, string>[]> {
    const found = await this.client.xrange(`${this.prefix}${type}`, '-', '+');
    return found.map(([, fields]) =>
      Object.fromEntries(fields.flatMap((name, n) => (n % 2 === 0 ? [[name, fields[n + 1] ?? '']] : []))),
    );
  }

  /** Messages as they come, of envelope `nest`. */
  async receive(type: string): Promise<readonly ReceivedMessage[]> {
    const stream = `${this.prefix}${type}`;
    this.streams.add(stream);
    const received: ReceivedMessage[] = [];
    const reader = this.client.duplicate();
    void (async () => {
      for (let last = '0'; this.streams.has(stream);) {
        const found = await reader.xread('BLOCK', 100, 'STREAMS', stream, last);
        for (const [id, [, pattern = '', , data = '', , headers = '']] of found?.[0]?.[1] ?? []) {
          last = id;
          received.push({
            ...{ type: pattern, payload: data, headers: JSON.parse(headers) as Record<string, string> },
          });
        }
      }
      reader.disconnect();
    })();
    await until(() => reader.status === 'ready');
    return received;
  }

  /** Ends the readers, and removes the streams. */
  async close(): Promise<void> {
    const streams = [...this.streams];
    this.streams.clear();
    if (streams.length > 0) await this.client.del(...streams);
    await this.client.quit();
  }
}
