import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { RedisStreamsBroker } from 'nestjs-sagaz/redis';
import { headersOf, TYPE, type Target } from './target.js';

/** One stream. */
export async function redisTarget(url: string): Promise<Target> {
  const streamPrefix = `sagaz-bench-${randomBytes(4).toString('hex')}:`;
  const client = new Redis(url);
  const empty = async () => void (await client.del(`${streamPrefix}${TYPE}`));
  return {
    ...{ name: 'redis', rawBar: 0.35, broker: () => new RedisStreamsBroker({ url, streamPrefix }), empty },
    async publish(batch) {
      const pipeline = client.pipeline();
      for (const event of batch) {
        const fields = ['pattern', event.type, 'data', event.payload];
        pipeline.xadd(
          `${streamPrefix}${event.type}`,
          '*',
          ...fields,
          'headers',
          JSON.stringify(headersOf(event)),
        );
      }
      for (const [error] of (await pipeline.exec()) ?? []) if (error) throw error;
    },
    count: () => client.xlen(`${streamPrefix}${TYPE}`),
    async close() {
      await empty();
      await client.quit();
    },
  };
}
