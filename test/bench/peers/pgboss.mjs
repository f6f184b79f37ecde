import { PgBoss } from 'pg-boss';
import { drains } from './drain-peer.mjs';

// pg-boss at the settings at which it was fastest here: its own fetch and complete, 1,000 at a time, two loops.
const QUEUE = 'events';
const BATCH = 1_000;
const LOOPS = 2;
const [url] = process.argv.slice(2);
const boss = new PgBoss({ connectionString: url, max: 10 });
boss.on('error', (error) => process.stderr.write(`${error.message}\n`));
await boss.start();
await boss.createQueue(QUEUE);

drains({
  async fill(events) {
    for (let n = 0; n < events.length; n += 5_000)
      await boss.insert(
        QUEUE,
        events.slice(n, n + 5_000).map((data) => ({ data })),
      );
  },
  async drain() {
    const loop = async () => {
      for (;;) {
        const jobs = await boss.fetch(QUEUE, { batchSize: BATCH });
        if (jobs.length === 0) return;
        await boss.complete(
          QUEUE,
          jobs.map(({ id }) => id),
        );
      }
    };
    await Promise.all(Array.from({ length: LOOPS }, loop));
  },
  stop: () => boss.stop({ graceful: false }),
});
