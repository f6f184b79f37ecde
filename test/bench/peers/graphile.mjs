import { Logger, run, runMigrations } from 'graphile-worker';
import pg from 'pg';
import { drains } from './drain-peer.mjs';

// graphile-worker at the settings at which it was fastest here: a local queue of 500, completions in batches.
const TASK = 'publish';
const [url] = process.argv.slice(2);
const logger = new Logger(() => () => undefined);
const pgPool = new pg.Pool({ connectionString: url, max: 10 });
pgPool.on('error', () => undefined);
pgPool.on('connect', (client) => client.on('error', () => undefined));
await runMigrations({ pgPool, logger });

drains({
  async fill(events) {
    const specs = JSON.stringify(events.map((payload) => ({ payload })));
    await pgPool.query(
      `SELECT count(*) FROM (SELECT graphile_worker.add_jobs(array(
         SELECT ROW($2, e->'payload', NULL, NULL, NULL, NULL, NULL, NULL)::graphile_worker.job_spec
         FROM json_array_elements($1::json) AS e))) AS added`,
      [specs, TASK],
    );
  },
  async drain(count) {
    let done = 0;
    let finish;
    const all = new Promise((resolve) => (finish = resolve));
    const publish = async () => {
      if (++done === count) finish();
    };
    const worker = { pollInterval: 100, maxPoolSize: 10 };
    const batches = { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 };
    const runner = await run({
      ...{ pgPool, logger, concurrency: 24, noHandleSignals: true, taskList: { [TASK]: publish } },
      preset: { worker: { ...worker, ...batches } },
    });
    await all;
    while ((await pgPool.query('SELECT 1 FROM graphile_worker._private_jobs LIMIT 1')).rowCount > 0);
    return () => runner.stop();
  },
  stop: () => pgPool.end(),
});
