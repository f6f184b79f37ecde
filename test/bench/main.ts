import 'reflect-metadata';
import { writeFile } from 'node:fs/promises';
import type { Figure } from './bench.js';
import { readCommand, UsageError, type Command } from './command-line.js';
import { growthBench } from './growth/growth.bench.js';
import { brokersBench } from './outbox/brokers.bench.js';
import { drainBench } from './outbox/drain.bench.js';
import { enqueueBench } from './outbox/enqueue.bench.js';
import { latencyBench } from './outbox/latency.bench.js';
import { progressOn } from './progress.js';
import { surroundings, table } from './report.js';
import { sagasBench } from './sagas/sagas.bench.js';
import { takeoverBench } from './takeover/takeover.bench.js';

const BENCHES = [
  sagasBench,
  takeoverBench,
  growthBench,
  drainBench,
  brokersBench,
  latencyBench,
  enqueueBench,
];

async function main(args: readonly string[]): Promise<void> {
  const { bench, json, quick }: Command = readCommand(args, BENCHES);
  process.stdout.write(`${await surroundings()}\n\n`);
  const tell = (text: string) => void process.stdout.write(`${text}\n`);
  const figures = await bench.run({ quick, progress: progressOn(process.stderr), tell });
  process.stdout.write(`${table(figures)}\n`);
  if (quick) process.stdout.write('\nquick: these figures mean little\n');
  if (json !== undefined) await writeFile(json, jsonOf(figures));
}

function jsonOf(figures: readonly Figure[]): string {
  const fields = Object.fromEntries(figures.map(({ field, value }) => [field, value]));
  return `${JSON.stringify(fields, null, 2)}\n`;
}

main(process.argv.slice(2)).catch((error: unknown) => {
  const usage = error instanceof UsageError;
  process.stderr.write(`${usage ? error.message : error instanceof Error ? error.stack : String(error)}\n`);
  process.exitCode = usage ? 2 : 1;
});
