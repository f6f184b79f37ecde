import { setTimeout as sleep } from 'node:timers/promises';
import type { DataSource } from 'typeorm';
import type { Outbox } from '../../../lib/index.js';

export interface Production {
  readonly application: DataSource;
  readonly outbox: Outbox;
  readonly producers: number;
  readonly keys: number;
  /** Between 0 and 1. */
  readonly chance: () => number;
}

export const COUNTER_TABLE = 'CREATE TABLE counter (key text PRIMARY KEY, n int NOT NULL DEFAULT 0)';

const ROLLED_BACK = 0.2;
const LONGEST_MS = 40;

class RolledBack extends Error {}

/**
 * Producers that lock their key, as business code locks its aggregate, count it on and write an event with the number, in
 * transactions of any length, some of which roll back. So the numbers of a key are the order in which they held the lock.
 * @returns a function that ends them
 */
export function startProducers({
  application,
  outbox,
  producers,
  keys,
  chance,
}: Production): () => Promise<void> {
  let going = true;
  const produce = async () => {
    while (going) {
      const key = `key ${Math.floor(chance() * keys)}`;
      await application
        .transaction(async (manager) => {
          await manager.query('INSERT INTO counter (key) VALUES ($1) ON CONFLICT DO NOTHING', [key]);
          const [[{ n }]] = await manager.query<[[{ n: number }]]>(
            'UPDATE counter SET n = n + 1 WHERE key = $1 RETURNING n',
            [key],
          );
          for (let part = 0; part < 1 + Math.floor(chance() * 3); part++)
            await outbox.publish(manager, { type: 'counted', key, payload: n * 10 + part });
          await sleep(chance() * LONGEST_MS);
          if (chance() < ROLLED_BACK) throw new RolledBack();
          await manager.query(
            'INSERT INTO committed SELECT $1, payload::int, event_id FROM saga_outbox WHERE key = $1 AND xid = pg_current_xact_id()',
            [key],
          );
        })
        .catch((error: unknown) => {
          if (!(error instanceof RolledBack)) throw error;
        });
    }
  };
  const all = Promise.all(Array.from({ length: producers }, produce));
  return async () => {
    going = false;
    await all;
  };
}
