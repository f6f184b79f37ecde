import type { INestApplication } from '@nestjs/common';
import { createApp } from '../create-app.js';
import { datasetName } from '../datasets/order-data.js';
import { readNorthwind } from '../northwind/northwind.reader.js';
import { seededOrders } from '../seed/seeded-orders.js';
import { Batch, type BatchPlan } from './batch.js';
import { Interrupt } from './interrupt.js';
import { parseRunOptions, type RunOptions, USAGE } from './run-options.js';
import { summaryFaults } from './summary-faults.js';
import { type Summary, summaryJson, summaryTable } from './summary.js';
import { writeAtomically } from './write-atomically.js';

/**
 * `npm run sample:orders`: everything that can be wrong with the call or the files is found out before the database
 * is touched.
 *
 * @returns the exit code
 */
export async function batchCommand(args: readonly string[]): Promise<number> {
  const options = parseRunOptions(args);
  if (options.help) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  const data = options.data === undefined ? seededOrders() : await readNorthwind(options.data);
  const dataset = datasetName(options.data === undefined ? 'seeded' : 'northwind', data);
  const interrupt = new Interrupt();
  const app = await createApp();
  const batch = app.get(Batch);
  const startedAt = performance.now();
  say(`${data.orders.length} orders, dataset ${dataset}, ${options.concurrency} at once`);
  const summary = await runAndClose(app, { ...options, dataset, data, signal: interrupt.signal }, interrupt);
  if (summary) return report(summary, Math.round(performance.now() - startedAt) / 1_000, options);
  say(`stopped: ${batch.left} orders are left; the same command continues with them`);
  return interrupt.exitCode;
}

/** @returns undefined when the user stopped it */
async function runAndClose(
  app: INestApplication,
  plan: BatchPlan,
  { wish }: Interrupt,
): Promise<Summary | undefined> {
  const run = app.get(Batch).run(plan);
  // Once the user has stopped it, nobody waits for its end, and what breaks off is no fault.
  run.catch(() => undefined);
  try {
    return await Promise.race([run, wish]);
  } finally {
    if (plan.signal.aborted) say('stopping: finishing what is running');
    // Closing drains: running steps end and are recorded, and their sagas are free for the next process at once.
    await app.close();
  }
}

async function report(summary: Summary, seconds: number, { json }: RunOptions): Promise<number> {
  process.stdout.write(`${summaryTable(summary, seconds)}\n`);
  if (json !== undefined) await writeAtomically(json, summaryJson(summary, seconds));
  const faults = summaryFaults(summary);
  for (const fault of faults) say(`WARNING: ${fault}`);
  return faults.length === 0 ? 0 : 1;
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
